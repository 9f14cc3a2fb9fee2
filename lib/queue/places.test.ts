import { expect, test } from 'vitest'
import { Places } from './places.ts'
import { FakeClock, settle } from './testing.ts'
import { WorkQueue } from './work-queue.ts'

const PATIENCE_MS = 400

/** A queue whose handlers end when the test says so, with the keys that were begun. */
function start(places: number, most: number) {
  const clock = new FakeClock()
  const workers = { places, patienceMs: PATIENCE_MS, most }
  const queue = new WorkQueue({ clock, workers, onFailure: () => undefined })
  const runs: string[] = []
  const open = new Map<string, () => void>()
  const handler = async (key: string) => {
    runs.push(key)
    const { promise, resolve } = Promise.withResolvers<undefined>()
    open.set(key, () => resolve(undefined))
    await promise
    return {}
  }
  void queue.run(handler, new AbortController().signal)
  const end = async (key: string) => {
    open.get(key)?.()
    await settle()
  }
  return { queue, clock, runs, end }
}

test('WorkQueue lets others in while a key takes long, up to a number at once', async () => {
  const { queue, clock, runs, end } = start(2, 3)
  for (const key of ['slow-1', 'slow-2', 'c', 'd']) queue.add(key)
  await settle()
  await clock.advance(PATIENCE_MS - 1)
  expect(runs).toEqual(['slow-1', 'slow-2'])
  await clock.advance(1)
  expect(runs).toEqual(['slow-1', 'slow-2', 'c'])
  await clock.advance(10 * PATIENCE_MS)
  expect(queue.stats).toMatchObject({ depth: 1, inFlight: 3 })
  await end('slow-1')
  expect(runs).toEqual(['slow-1', 'slow-2', 'c', 'd'])
})

test('WorkQueue gives each place to one key at a time, whether its key ended or gave it up', async () => {
  const { queue, clock, runs, end } = start(1, 100)
  for (const key of ['a', 'b', 'c', 'd']) queue.add(key)
  await settle()
  await clock.advance(PATIENCE_MS)
  expect(runs).toEqual(['a', 'b'])
  await end('a')
  expect(runs).toEqual(['a', 'b'])
  await end('b')
  expect(runs).toEqual(['a', 'b', 'c'])
})

test('A place is given up by the one that has had it longest, and by nobody once all are at work', () => {
  const places = new Places({ places: 2, patienceMs: 10, most: 3 })
  places.take('a', 0)
  places.take('b', 5)
  expect([places.isFree(9), places.nextMs, places.isFree(10)]).toEqual([false, 10, true])
  places.take('c', 10)
  expect([places.isFree(99), places.nextMs]).toEqual([false, Infinity])
  places.leave('a')
  expect(places.isFree(99)).toBe(true)
})
