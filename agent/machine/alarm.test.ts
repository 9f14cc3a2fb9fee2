import { expect, test } from 'vitest'
import type { Clock } from '../../lib/clock.ts'
import { Alarm } from './alarm.ts'

/** A clock that a test moves. */
function newClock() {
  const waiting = new Set<{ ms: number; resolve: () => void }>()
  const sleep: Clock['sleep'] = (ms, signal) =>
    new Promise((resolve, reject) => {
      const one = { ms, resolve }
      waiting.add(one)
      signal?.addEventListener('abort', () => {
        waiting.delete(one)
        reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'))
      })
    })
  const pass = async (ms: number) => {
    for (const one of waiting) if (one.ms <= ms) one.resolve()
    await new Promise(setImmediate)
  }
  return { sleep, pass, waiting }
}

test('Alarm rings once, at the time that was set last', async () => {
  const clock = newClock()
  let rung = 0
  const alarm = new Alarm(clock, () => (rung += 1))
  alarm.set(10)
  alarm.set(1000)
  await clock.pass(10)
  expect(rung).toBe(0)
  await clock.pass(1000)
  expect(rung).toBe(1)
})

test('Alarm that is set to no time does not ring, and leaves nothing to wait for', async () => {
  const clock = newClock()
  let rung = 0
  const alarm = new Alarm(clock, () => (rung += 1))
  alarm.set(10)
  alarm.set(undefined)
  await clock.pass(10)
  expect([rung, clock.waiting.size]).toEqual([0, 0])
})
