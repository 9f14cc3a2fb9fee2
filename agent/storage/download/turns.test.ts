import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { eventually } from '../../testing.ts'
import { newTurns, type Asker, type Turn } from './turns.ts'
import { newWatchdog } from './watchdog.ts'

const LONG_MS = 60_000
const asker = (signal = new AbortController().signal): Asker => ({ signal, isWaiting: false })

/** Holds its turn until it ends or is taken away, and counts the turns that it had. */
function holder(bytesAMoment: number) {
  const { promise, resolve } = Promise.withResolvers<void>()
  const held = { turns: 0, end: resolve }
  const work = async ({ signal, note }: Turn) => {
    held.turns += 1
    const timer = setInterval(() => note(bytesAMoment), 2)
    const over = Promise.withResolvers<never>()
    signal.addEventListener('abort', () => over.reject(new Error('aborted')), { once: true })
    try {
      await Promise.race([promise, over.promise])
    } finally {
      clearInterval(timer)
    }
  }
  return { held, work }
}

test('Turns let only so many begin at once, and each in its turn, also after a failure', async () => {
  const turns = newTurns({ atOnce: 2, inAll: 4, fairMs: LONG_MS })
  let most = 0
  const order: number[] = []
  const work = (index: number) =>
    turns.with(asker(), async () => {
      order.push(index)
      most = Math.max(most, turns.taken)
      await sleep(1)
      if (index % 3 === 0) throw new Error('failed')
    })
  const ends = await Promise.allSettled(Array.from({ length: 10 }, (_, index) => work(index)))
  expect([most, turns.taken, order]).toEqual([2, 0, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]])
  expect(ends.filter(({ status }) => status === 'rejected')).toHaveLength(4)
})

test('Turns let nobody wait who was told to end, and nobody else lose a turn by it', async () => {
  const turns = newTurns({ atOnce: 1, inAll: 1, fairMs: LONG_MS })
  const abort = new AbortController()
  const { promise, resolve } = Promise.withResolvers<void>()
  const first = turns.with(asker(), () => promise)
  const leaver = asker(abort.signal)
  const second = turns.with(leaver, () => Promise.resolve('second'))
  const third = turns.with(asker(), () => Promise.resolve('third'))
  expect(leaver.isWaiting).toBe(true)
  abort.abort(new Error('no longer'))
  await expect(second).rejects.toThrow('no longer')
  expect(leaver.isWaiting).toBe(false)
  resolve()
  await first
  expect(await third).toBe('third')
  await expect(turns.with(leaver, () => Promise.resolve())).rejects.toThrow('no longer')
})

test('Turns that are long keep nobody out, up to as many as there may be', async () => {
  const turns = newTurns({ atOnce: 2, inAll: 4, fairMs: 30 })
  const holders = Array.from({ length: 4 }, () => holder(1))
  const all = Promise.all(holders.map(({ work }) => turns.with(asker(), work)))
  expect(turns.taken).toBe(2)
  await eventually('all have a turn', () => turns.taken === 4)
  await sleep(100)
  // Nobody waits, so nobody has to leave.
  expect(holders.map(({ held }) => held.turns)).toEqual([1, 1, 1, 1])
  for (const { held } of holders) held.end()
  await all
  expect(turns.taken).toBe(0)
})

test('Turns are taken from the slowest when too many wait, and it has another one after them', async () => {
  const turns = newTurns({ atOnce: 1, inAll: 2, fairMs: 50 })
  const quick = holder(1000)
  const slow = holder(1)
  const held = [quick, slow].map(({ work }) => turns.with(asker(), work))
  await eventually('both have a turn', () => turns.taken === 2)
  expect(await turns.with(asker(), () => Promise.resolve('later'))).toBe('later')
  await eventually('the slow one is back', () => slow.held.turns === 2)
  expect(quick.held.turns).toBe(1)
  for (const one of [quick, slow]) one.held.end()
  await Promise.all(held)
  expect(turns.taken).toBe(0)
})

test('Turns end with their asker, and are not begun anew then', async () => {
  const turns = newTurns({ atOnce: 1, inAll: 1, fairMs: LONG_MS })
  const abort = new AbortController()
  const { held, work } = holder(1)
  const ended = turns.with(asker(abort.signal), work)
  await eventually('it has its turn', () => held.turns === 1)
  abort.abort(new Error('no longer'))
  await expect(ended).rejects.toThrow('aborted')
  expect([held.turns, turns.taken]).toEqual([1, 0])
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
