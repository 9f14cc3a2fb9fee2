import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { pendingRestart, toHardware } from './hardware.ts'
import { newDesired } from './testing.ts'

const disks = [randomUUID(), randomUUID()].map((id) => ({ id, storage: 'fast' }))
const desired = newDesired({ disks, macs: ['52:54:00:00:00:01'] })
const started = toHardware(desired, 'pc-q35-7.2')

test('Hardware has the version that q35 stood for, or the one that was asked for', () => {
  expect(started.machineType).toBe('pc-q35-7.2')
  expect(toHardware({ ...desired, machineType: 'pc-q35-8.1' }, 'pc-q35-7.2').machineType).toBe('pc-q35-8.1')
})

test.each([
  ['nothing', {}, []],
  ['its name and grace period', { name: 'a/b', gracePeriodSeconds: 9 }, []],
  ['its processors and memory', { cpus: 8, memoryBytes: 2 ** 31 }, ['cpus', 'memoryBytes']],
  ['its type', { machineType: 'pc-q35-8.1' }, ['machineType']],
  ['its type to what it is', { machineType: 'pc-q35-7.2' }, []],
  ['its cards', { macs: [] }, ['macs']],
  ['its disks', { disks: disks.slice(1) }, []],
])('Machine that changes %s waits for a restart with: %#', (_name, change, fields) => {
  expect(pendingRestart({ ...desired, ...change }, started)).toEqual(fields)
})
