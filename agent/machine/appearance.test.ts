import { expect, test } from 'vitest'
import type { ObservedMachine } from '../contract.ts'
import { Appearance } from './appearance.ts'
import { newRecord } from './testing.ts'
import { observe, type Sight } from './observe.ts'

const record = newRecord()
const sight: Sight = {
  process: 'None',
  pid: undefined,
  starting: false,
  stopping: false,
  guestProblem: undefined,
  elsewhere: false,
  held: false,
  problem: undefined,
  pendingDisks: [],
  lacksPort: false,
}
const off = observe(record, sight)
const starting = observe(record, { ...sight, starting: true })

test('Appearance has a higher revision for each new look, and the same for the same', () => {
  const appearance = new Appearance(() => undefined)
  const revisions = [off, off, starting, off].map((look) => appearance.stamp(look).revision)
  const [first = 0] = revisions
  expect(revisions).toEqual([first, first, first + 1, first + 2])
})

test('Appearance of a later agent has higher revisions than that of an earlier one', async () => {
  const earlier = new Appearance(() => undefined).stamp(off)
  await expect.poll(() => new Appearance(() => undefined).stamp(off).revision).toBeGreaterThan(earlier.revision)
})

test('Appearance tells each look once', () => {
  const told: ObservedMachine[] = []
  const appearance = new Appearance((machine) => void told.push(machine))
  for (const look of [off, off, starting]) appearance.publish(appearance.stamp(look))
  expect(told.map(({ state }) => state)).toEqual(['Stopped', 'Starting'])
})

test('Appearance lets callers wait for a look, and no longer than they want', async () => {
  const appearance = new Appearance(() => undefined)
  let isRight = false
  await appearance.until(() => isRight, 10)
  const waiting = appearance.until(() => isRight, 60_000)
  isRight = true
  appearance.publish(appearance.stamp(off))
  await waiting
  await appearance.until(() => isRight, 60_000)
  expect(isRight).toBe(true)
})
