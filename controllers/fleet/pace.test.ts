import { expect, test } from 'vitest'
import { FakeClock } from '../../lib/queue/testing.ts'
import { paceMachines } from './pace.ts'
import { guest } from './testing.ts'

function newPace() {
  const clock = new FakeClock()
  const abort = new AbortController()
  const told: number[] = []
  const pass = paceMachines({
    clock,
    signal: abort.signal,
    onEvent: ({ machine }) => void told.push(machine.revision),
  })
  const tell = (revision: number, number = 1) =>
    pass({ type: 'Machine', host: 'host-a', machine: guest(number, { revision }) })
  return { clock, abort, told, tell }
}

test('News of a machine are passed on at once, and of a flood the latest ten times a second', async () => {
  const { clock, told, tell } = newPace()
  for (let revision = 1; revision <= 1_000; revision++) tell(revision)
  expect(told).toEqual(Array.from({ length: 20 }, (_, index) => index + 1))
  await clock.advance(100)
  expect(told.slice(20)).toEqual([1_000])
  tell(1_001)
  tell(1_002)
  await clock.advance(100)
  expect(told.slice(21)).toEqual([1_002])
})

test('A machine that floods holds up no other one, and nothing is told when nobody listens any more', async () => {
  const { clock, abort, told, tell } = newPace()
  for (let revision = 1; revision <= 50; revision++) tell(revision)
  tell(7, 2)
  expect(told).toHaveLength(21)
  abort.abort()
  await clock.advance(1_000)
  expect(told).toHaveLength(21)
})
