import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { seededRandom } from './testing.ts'
import { TimerHeap } from './timer-heap.ts'

function firstOf(model: ReadonlyMap<string, number>): unknown {
  const due = model.size === 0 ? undefined : Math.min(...model.values())
  return { due, taken: due }
}

test.each([1, 2, 3, Date.now() % 1e6])('TimerHeap gives keys in the order of their times (seed %i)', (seed) => {
  const random = seededRandom(seed)
  const heap = new TimerHeap()
  const model = new Map<string, number>()
  const seen: unknown[] = []
  const wanted: unknown[] = []
  const sizes: [number, number][] = []
  for (let step = 0; step < 5_000; step++) {
    const key = `key-${Math.floor(random() * 200)}`
    const dueMs = Math.floor(random() * 1_000)
    if (random() < 0.7) {
      heap.setEarlier(key, dueMs)
      model.set(key, Math.min(dueMs, model.get(key) ?? Infinity))
    } else if (random() < 0.5) {
      heap.delete(key)
      model.delete(key)
    } else {
      const due = heap.next()
      const taken = heap.take(due ?? Infinity)
      seen.push({ due, taken: taken === undefined ? undefined : model.get(taken) })
      wanted.push(firstOf(model))
      model.delete(taken ?? '')
    }
    sizes.push([heap.size, model.size])
  }
  expect(seen).toEqual(wanted)
  expect(sizes.filter(([size, modelled]) => size !== modelled)).toEqual([])
})

test('TimerHeap does not grow when one key is set again and again', () => {
  const heap = new TimerHeap()
  const before = liveBytes()
  for (let dueMs = 200_000; dueMs > 0; dueMs--) heap.setEarlier('key', dueMs)
  // Kept, they would be 8 MB.
  expect(liveBytes() - before).toBeLessThan(2e6)
  expect(heap.next()).toBe(1)
})

function liveBytes(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc()')
  return process.memoryUsage().heapUsed
}

test('TimerHeap keeps what is not due', () => {
  const heap = new TimerHeap()
  heap.setEarlier('key', 10)
  expect(heap.take(9)).toBeUndefined()
  expect(heap.take(10)).toBe('key')
  expect(heap.take(10)).toBeUndefined()
})
