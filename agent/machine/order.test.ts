import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { DesiredMachine } from '../contract.ts'
import { bury } from './ending.ts'
import { accept } from './order.ts'
import { decidedAnew, newDesired, newRecord } from './testing.ts'

const machine = newDesired({ decision: { id: randomUUID(), epoch: 5, follows: [] } })
const held = newRecord({ desired: machine })
const { id, epoch } = machine.decision

test('Order of an unknown machine makes its record', () => {
  expect(accept(undefined, machine)).toEqual({ version: 1, desired: machine, claims: [], restarts: 0, failures: 0 })
})

test('Order that follows others makes a record that knows of what may have been lost, until it is forgotten', () => {
  const record = accept(undefined, decidedAnew(machine, { power: 'Stopped' }))
  expect(record.mayHoldOthers).toBe(true)
  const last = accept(record, decidedAnew(record.desired, { power: 'Absent' }))
  expect(last.mayHoldOthers).toBe(true)
  expect(bury(last, new Date())).not.toHaveProperty('mayHoldOthers')
})

test('Order that says nothing new leaves the very same record', () => {
  expect(accept(held, structuredClone(machine))).toBe(held)
})

test('Order of the same decision may change everything but its power', () => {
  expect(accept({ ...held, restarts: 3 }, { ...machine, cpus: 4 })).toEqual({
    ...held,
    restarts: 3,
    desired: { ...machine, cpus: 4 },
  })
  const refused = () => accept(held, { ...machine, power: 'Stopped' })
  expect(refused).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }))
})

describe('Disk that the guest has and an order leaves out', () => {
  const more = { id: randomUUID(), storage: 'fast' }
  const withDisk = newRecord({ desired: { ...machine, disks: [more] } })
  const disksOf = (order: DesiredMachine, isOff?: boolean) => accept(withDisk, order, isOff).desired.disks

  test('stays, for who orders may not know of it', () => {
    expect(accept(withDisk, machine, false)).toBe(withDisk)
    expect(disksOf({ ...machine, cpus: 4 }, false)).toEqual([more])
    expect(disksOf(decidedAnew(machine, { once: 'Reset' }), false)).toEqual([more])
  })

  test.each<[string, DesiredMachine, boolean]>([
    ['it is asked back', { ...machine, detach: [more.id] }, false],
    ['the guest is switched off', decidedAnew(machine, { power: 'Stopped' }), false],
    ['the guest is restarted', decidedAnew(machine, { once: 'Restart' }), false],
    ['the machine is off', machine, true],
  ])('goes when %s', (_, order, isOff) => {
    expect(disksOf(order, isOff)).toEqual([])
  })

  test('stays in an order that comes before a restart without it could be carried out', () => {
    const restarted = accept({ ...withDisk, claims: [more] }, decidedAnew(machine, { once: 'Restart' }), false)
    expect(restarted.desired.disks).toEqual([])
    const { once: _once, ...rest } = restarted.desired
    const paused = decidedAnew(rest, { paused: true })
    expect(accept(restarted, paused, false).desired.disks).toEqual([more])
    const carriedOut = { ...restarted, carriedOut: restarted.desired.decision.id }
    expect(accept(carriedOut, paused, false).desired.disks).toEqual([])
  })

  test('is not left out without a word where the machine would have too many with it', () => {
    const disks = Array.from({ length: 17 }, () => ({ id: randomUUID(), storage: 'fast' }))
    const message = `the guest has disks that the order leaves out (${more.id}): with them it has too many`
    expect(() => disksOf({ ...machine, disks }, false)).toThrow(message)
  })
})

test.each([
  ['Always', undefined],
  ['OnFailure', undefined],
  ['Never', 'Crash'],
] as const)('Order to restart %s of a machine that had crashed for good leaves it ended: %s', (restart, ended) => {
  const over = { ...held, desired: { ...machine, restart: 'Never' as const }, ended: 'Crash' as const }
  expect(accept(over, { ...machine, restart, cpus: 4 }).ended).toBe(ended)
})

test.each([
  ['an older epoch', { id, epoch: 4, follows: [] }],
  ['an older epoch of another id', { id: randomUUID(), epoch: 1, follows: [id] }],
  ['the same epoch of another id', { id: randomUUID(), epoch: 5, follows: [id] }],
])('Order with %s is refused, with the decision that is held', (_name, decision) => {
  const details = { machineId: machine.id, decision: { id, epoch } }
  const refused = () => accept(held, { ...machine, decision })
  expect(refused).toThrow(expect.objectContaining({ code: 'STALE_EPOCH', details }))
})

test('Order with a new decision forgets how the last one went, and keeps what the host has', () => {
  const kept = {
    uid: 1_879_100_000,
    machineType: 'pc-q35-7.2',
    launch: { bootId: 'b', confirmed: true },
    claims: [{ id: randomUUID(), storage: 'fast' }],
  }
  const past = { restarts: 4, failures: 2, retryAt: '2026-01-01T00:00:00.000Z', ended: 'Crash' as const }
  const next = decidedAnew(machine, {})
  const record = accept({ ...held, ...kept, ...past, buriedAt: '2026-01-01T00:00:00.000Z' }, next)
  expect(record).toEqual({ version: 1, desired: next, restarts: 0, failures: 0, ...kept })
})
