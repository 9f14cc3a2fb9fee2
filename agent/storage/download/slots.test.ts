import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { newSlots } from './slots.ts'
import { newWatchdog } from './watchdog.ts'

const { signal } = new AbortController()

test('Slots let only so many things be done at once, and each in its turn, also after a failure', async () => {
  const slots = newSlots(2)
  let now = 0
  let most = 0
  const order: number[] = []
  const work = (index: number) =>
    slots.with(signal, async () => {
      order.push(index)
      most = Math.max(most, ++now)
      await sleep(1)
      now -= 1
      if (index % 3 === 0) throw new Error('failed')
    })
  await Promise.allSettled(Array.from({ length: 10 }, (_, index) => work(index)))
  expect([most, now, order]).toEqual([2, 0, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]])
})

test('Slots let nobody wait who was told to end, and nobody else lose a turn by it', async () => {
  const slots = newSlots(1)
  const abort = new AbortController()
  const { promise, resolve } = Promise.withResolvers<void>()
  const first = slots.with(signal, () => promise)
  const second = slots.with(abort.signal, () => Promise.resolve('second'))
  const third = slots.with(signal, () => Promise.resolve('third'))
  abort.abort(new Error('no longer'))
  await expect(second).rejects.toThrow('no longer')
  resolve()
  await first
  expect(await third).toBe('third')
  await expect(slots.with(abort.signal, () => Promise.resolve())).rejects.toThrow('no longer')
})

test('Watchdog bites once when too little comes, and not while enough does', async () => {
  let bites = 0
  using watchdog = newWatchdog({ stallMs: 40, stallBytes: 10 }, () => (bites += 1))
  for (let times = 0; times < 20; times += 1) {
    watchdog.note(10)
    await sleep(5)
  }
  expect(bites).toBe(0)
  watchdog.note(9)
  await sleep(150)
  expect(bites).toBe(1)
})
