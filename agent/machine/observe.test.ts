import { expect, test } from 'vitest'
import { observedMachine } from '../contract.ts'
import { toHardware } from './hardware.ts'
import { observe, toProblem, type Sight } from './observe.ts'
import { newDesired, newRecord } from './testing.ts'

const desired = newDesired()
const hardware = toHardware(desired, 'pc-q35-7.2')
const launch = { bootId: 'boot-1', hardware, confirmed: true }
const off: Sight = {
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
const on: Sight = { ...off, process: 'running', pid: 4711 }
const retryAt = '2026-01-01T00:00:00.000Z'

test('Machine that runs shows what the contract asks for', () => {
  const observed = observe(newRecord({ desired, launch, restarts: 2 }), on)
  expect(observed).toEqual({
    id: desired.id,
    name: 'default/test',
    decision: { id: desired.decision.id, epoch: 1 },
    power: 'Running',
    state: 'Running',
    pendingRestart: [],
    restarts: 2,
    pid: 4711,
    macs: desired.macs,
    disks: desired.disks,
    cpus: desired.cpus,
    memoryBytes: desired.memoryBytes,
  })
  expect(observedMachine.parse({ ...observed, revision: 1 })).toEqual({ ...observed, revision: 1 })
})

test.each([
  ['is off', {}, off, 'Stopped'],
  ['is being started', {}, { ...off, starting: true }, 'Starting'],
  ['is forgotten', { buriedAt: retryAt }, off, 'Absent'],
  ['was reset while it was halted', { launch }, { ...on, process: 'prelaunch' }, 'Paused'],
  [
    'has a process that has yet to run',
    { launch: { ...launch, confirmed: false } },
    { ...on, process: 'prelaunch' },
    'Starting',
  ],
  ['is stopping', { launch }, { ...on, stopping: true }, 'Stopping'],
  ['has shut itself down', { launch }, { ...on, process: 'shutdown' }, 'Stopping'],
  ['is paused', { launch }, { ...on, process: 'paused' }, 'Paused'],
  ['is silent after it ran', { launch }, { ...on, process: 'Silent' }, 'Running'],
  ['is silent before it ran', { launch: { ...launch, confirmed: false } }, { ...on, process: 'Silent' }, 'Starting'],
] as const)('Machine that %s is shown so: %#', (_name, change, sight, state) => {
  expect(observe(newRecord({ desired, ...change }), sight).state).toBe(state)
})

test.each([
  ['nothing is wrong', { launch }, on, undefined],
  ['its start failed', {}, { ...off, problem: toProblem('StartFailed', 'no') }, 'StartFailed'],
  ['it crashed for good', { ended: 'Crash' }, off, 'Crashed'],
  ['it shut itself down for good', { ended: 'GuestShutdown' }, off, 'GuestShutdown'],
  ['it waits after a crash', { retryAt }, off, 'Crashed'],
  ['it waits after it shut itself down', { retryAt, lastEnding: 'GuestShutdown' }, off, 'GuestShutdown'],
  ['it starts after a crash', { retryAt }, { ...off, starting: true }, undefined],
  ['its host goes down', {}, { ...off, held: true }, 'HostStopping'],
  ['its storage is full', { launch }, { ...on, process: 'io-error', guestProblem: 'nospace' }, 'DiskFull'],
  ['its disk fails', { launch }, { ...on, process: 'io-error', guestProblem: 'failed' }, 'DiskFailed'],
  ['another process answers for it', {}, { ...on, process: 'Silent', guestProblem: 'foreign' }, 'MonitorSilent'],
  ['its monitor is silent', { launch }, { ...on, process: 'Silent' }, 'MonitorSilent'],
  ['its process is elsewhere', { launch }, { ...on, elsewhere: true }, 'StillRunning'],
  ['its process is out of reach', {}, { ...on, process: 'Silent', elsewhere: true }, 'MonitorSilent'],
  ['its start is slow', { launch: { ...launch, confirmed: false } }, { ...on, process: 'Silent' }, undefined],
] as const)('Machine says why it is not as desired when %s', (_name, change, sight, code) => {
  expect(observe(newRecord({ desired, ...change }), sight).problem?.code).toBe(code)
})

test('Machine that should be off says nothing of how it ended', () => {
  const record = newRecord({ desired: { ...desired, power: 'Stopped' }, ended: 'Crash' })
  expect(observe(record, { ...off, held: true })).not.toHaveProperty('problem')
})

test('Machine names what its process was not started with, and nothing when it is off', () => {
  const record = newRecord({ desired: { ...desired, cpus: 4 }, launch })
  expect(observe(record, on).pendingRestart).toEqual(['cpus'])
  expect(observe(record, off).pendingRestart).toEqual([])
  const found = newRecord({ desired, launch: { bootId: 'boot-1', confirmed: true } })
  expect(observe(found, on).pendingRestart).toEqual([])
})

test('Machine shows when it is tried again only while it is off', () => {
  expect(observe(newRecord({ desired, retryAt }), off).retryAt).toBe(retryAt)
  expect(observe(newRecord({ desired, retryAt, launch }), on)).not.toHaveProperty('retryAt')
})
