import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { AgentError } from '../errors.ts'
import { findLaunchFacts, isLaunchOf, withConfirmation, withLaunch, withOrder } from './plan.ts'
import { toHardware } from './hardware.ts'
import { newDesired, newRecord } from './testing.ts'

const facts = { bootId: 'boot-1', q35: 'pc-q35-7.2' }
const process = { pid: 4711, startTime: '1000' }
const disk = { id: randomUUID(), storage: 'fast' }
const desired = newDesired({ disks: [disk] })
const retryAt = '2026-01-01T00:00:00.000Z'

test('Launch that was noted is noted no second time', () => {
  const record = withLaunch(newRecord({ desired }), facts)
  expect(record).toMatchObject({
    machineType: 'pc-q35-7.2',
    restarts: 0,
    launch: { bootId: 'boot-1', confirmed: false, hardware: toHardware(desired, 'pc-q35-7.2') },
  })
  expect(withLaunch(record, facts)).toBe(record)
  expect(withLaunch(withConfirmation(record, process), facts).launch?.confirmed).toBe(false)
})

test('Launch of a machine keeps the version of q35 that it had at first', () => {
  const first = withLaunch(newRecord({ desired }), facts)
  const later = withLaunch(first, { bootId: 'boot-2', q35: 'pc-q35-9.1' })
  expect(later.launch?.hardware?.machineType).toBe('pc-q35-7.2')
  const explicit = withLaunch({ ...first, desired: { ...desired, machineType: 'pc-q35-8.0' } }, facts)
  expect(explicit.machineType).toBe('pc-q35-8.0')
  expect(withLaunch({ ...explicit, desired }, facts).launch?.hardware?.machineType).toBe('pc-q35-8.0')
})

test('Launch after a wait is counted as a restart', () => {
  const record = withLaunch(newRecord({ desired, restarts: 2, failures: 1, retryAt }), facts)
  expect(record).toMatchObject({ restarts: 3, failures: 1 })
  expect(record).not.toHaveProperty('retryAt')
})

test.each(['Restart', 'Reset'] as const)('Launch is all that a %s asks of a machine that is off', (once) => {
  const noted = withLaunch(newRecord({ desired }), facts)
  const anew = { ...desired, once }
  const record = withLaunch({ ...noted, desired: anew }, facts)
  expect(record.carriedOut).toBe(anew.decision.id)
  expect(withLaunch(record, facts)).toBe(record)
  expect(withOrder(newRecord({ desired: anew }), facts).carriedOut).toBe(anew.decision.id)
})

test('Launch is confirmed once', () => {
  const record = withConfirmation(withLaunch(newRecord({ desired }), facts), process)
  expect(record.launch).toMatchObject({ confirmed: true, process })
  expect(withConfirmation(record, process)).toBe(record)
  const off = newRecord({ desired })
  expect(withConfirmation(off, process)).toBe(off)
})

test('Launch is the one of a process that it noted, or may be when it noted none, in one boot of the host', () => {
  const noted = withLaunch(newRecord({ desired }), facts)
  const confirmed = withConfirmation(noted, process)
  const later = { ...process, startTime: '2000' }
  const isOf = [noted, confirmed].map((record) => [process, later].map((found) => isLaunchOf(record, found, 'boot-1')))
  expect(isOf).toEqual([
    [true, true],
    [true, false],
  ])
  expect(isLaunchOf(confirmed, process, 'boot-2')).toBe(false)
  expect(isLaunchOf(newRecord({ desired }), process, 'boot-1')).toBe(false)
})

test('Order to run notes the disks to be claimed, and the launch where the host can', () => {
  expect(withOrder(newRecord({ desired }), facts)).toMatchObject({ claims: [disk], launch: { bootId: 'boot-1' } })
  expect(withOrder(newRecord({ desired }), undefined)).toEqual({ ...newRecord({ desired }), claims: [disk] })
  const other = { id: randomUUID(), storage: 'fast' }
  expect(withOrder(newRecord({ desired, claims: [other, disk] }), undefined).claims).toEqual([other, disk])
})

test('Order notes no launch of a machine that does not start now', () => {
  const wanted = newRecord({ desired })
  for (const record of [
    { ...wanted, retryAt },
    { ...wanted, ended: 'Crash' as const },
  ]) {
    expect(withOrder(record, facts)).not.toHaveProperty('launch')
  }
  const stopped = newRecord({ desired: { ...desired, power: 'Stopped' } })
  expect(withOrder(stopped, facts)).toBe(stopped)
})

test('Facts are those of the host, and none while it has no QEMU', async () => {
  const qemu = { version: '7.2.0', q35: 'pc-q35-7.2', machineTypes: [], hasPvpanic: true }
  expect(await findLaunchFacts({ bootId: 'boot-1', qemu: async () => qemu })).toEqual(facts)
  const missing = () => Promise.reject(new AgentError('QEMU_UNAVAILABLE', 'none'))
  expect(await findLaunchFacts({ bootId: 'boot-1', qemu: missing })).toBeUndefined()
  const broken = () => Promise.reject(new Error('broken'))
  await expect(findLaunchFacts({ bootId: 'boot-1', qemu: broken })).rejects.toThrow('broken')
})
