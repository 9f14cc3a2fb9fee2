import { expect, test } from 'vitest'
import { STABLE_AFTER_MS } from './back-off.ts'
import { afterAbsence, afterEnd, bury, howEnded, withEnd, type LastSight } from './ending.ts'
import { decidedAnew, newDesired, newRecord } from './testing.ts'

const now = new Date('2026-01-01T00:00:00.000Z')
const desired = newDesired()
const { decision } = desired
const launch = { bootId: 'boot-1', confirmed: true }
const running = newRecord({ desired, launch })
const pressed = newRecord({ desired, launch: { ...launch, pressed: true } })
const never = newRecord({ desired: { ...desired, restart: 'Never' }, launch })
const onFailure = newRecord({ desired: { ...desired, restart: 'OnFailure' }, launch })
const restarting = newRecord({ desired: { ...desired, once: 'Restart' }, launch })
const stopped = newRecord({ desired: { ...desired, power: 'Stopped' }, launch })
const sight: LastSight = {
  state: 'running',
  seenRunning: true,
  held: false,
  startedUnder: decision.id,
}

test.each([
  ['ran and is gone', running, {}, 'Crash'],
  ['was silent and is gone', running, { state: 'Silent' }, 'Crash'],
  ['shut itself down', running, { state: 'shutdown' }, 'GuestShutdown'],
  ['shut itself down before anybody saw it run', running, { state: 'shutdown', seenRunning: false }, 'GuestShutdown'],
  ['obeyed the power button', pressed, { state: 'shutdown' }, 'Ordered'],
  ['crashed after the power button', pressed, {}, 'Crash'],
  ['was to stop', stopped, {}, 'Ordered'],
  ['was to be followed by another', restarting, {}, 'Ordered'],
  ['followed another and is gone', { ...restarting, carriedOut: decision.id }, {}, 'Crash'],
  ['went down with its host', running, { held: true }, 'Ordered'],
  ['never ran', running, { state: 'Silent', seenRunning: false }, 'FailedStart'],
  ['never ran under an earlier decision', running, { seenRunning: false, startedUnder: 'other' }, 'Ordered'],
  ['was found and never ran', running, { seenRunning: false, startedUnder: undefined }, 'Ordered'],
] as const)('Process that %s has ended so: %#', (_name, record, change, how) => {
  expect(howEnded(record, { ...sight, ...change })).toBe(how)
})

test('Machine that crashes again and again waits longer and longer, and is not started forever at once', () => {
  let record = running
  const waits = Array.from({ length: 12 }, () => {
    record = afterEnd({ ...record, launch }, { how: 'Crash', decision, ranMs: 1000 }, now)
    return (Date.parse(record.retryAt ?? '') - now.getTime()) / 1000
  })
  expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300])
  expect(record).not.toHaveProperty('launch')
})

test('Machine that ran for long starts again with the shortest wait', () => {
  const end = { how: 'GuestShutdown', decision, ranMs: STABLE_AFTER_MS } as const
  expect(afterEnd({ ...running, failures: 9 }, end, now)).toMatchObject({
    failures: 1,
    retryAt: '2026-01-01T00:00:01.000Z',
  })
})

test('Machine that restarts on failure only is started again after a crash, and left off after a shutdown', () => {
  const crashed = afterEnd(onFailure, { how: 'Crash', decision, ranMs: 1000 }, now)
  expect(crashed).toMatchObject({ lastEnding: 'Crash', retryAt: '2026-01-01T00:00:01.000Z' })
  const shutDown = afterEnd(onFailure, { how: 'GuestShutdown', decision, ranMs: 1000 }, now)
  expect(shutDown).toMatchObject({ ended: 'GuestShutdown' })
  expect(shutDown).not.toHaveProperty('retryAt')
})

test.each(['Crash', 'GuestShutdown'] as const)('Machine that is not to restart is left off after: %s', (how) => {
  const { launch: _launch, ...rest } = never
  expect(afterEnd(never, { how, decision, ranMs: 1000 }, now)).toEqual({ ...rest, ended: how })
})

test('Machine that could not start is tried again, whatever its restart policy', () => {
  const after = afterEnd(never, { how: 'FailedStart', decision, ranMs: 10 }, now)
  expect(after).toMatchObject({ failures: 1, retryAt: '2026-01-01T00:00:01.000Z' })
  expect(after).not.toHaveProperty('ended')
})

test('Machine that ended as ordered waits for nothing', () => {
  const after = afterEnd({ ...stopped, failures: 3 }, { how: 'Ordered', decision, ranMs: 10 }, now)
  expect(after).toEqual({ version: 1, desired: stopped.desired, claims: [], restarts: 0, failures: 0 })
})

test('Machine that was decided anew meanwhile does not bear how it ended before', () => {
  const anew = { ...never, desired: decidedAnew(never.desired, {}) }
  const after = afterEnd(anew, { how: 'Crash', decision, ranMs: 1000 }, now)
  expect(after).not.toHaveProperty('ended')
  expect(after).not.toHaveProperty('launch')
})

test.each([
  [
    'crashed, when it ran in this boot',
    running,
    'boot-1',
    {
      failures: 1,
      lastEnding: 'Crash',
      retryAt: '2026-01-01T00:00:01.000Z',
    },
  ],
  ['was shut down, when it was to restart', restarting, 'boot-1', {}],
  ['went with its host, when that booted', running, 'boot-2', {}],
  ['crashed for good, when it is not to restart', never, 'boot-1', { ended: 'Crash' }],
  ['never started, when nobody saw it run', { ...never, launch: { ...launch, confirmed: false } }, 'boot-1', {}],
  ['stopped, when it should', stopped, 'boot-1', {}],
])('Machine whose process is not found %s', (_name, record, bootId, change) => {
  const { launch: _launch, ...rest } = record
  expect(afterAbsence(record, bootId, now)).toEqual({ ...rest, ...change })
})

test.each([
  ['shut itself down', never, {}, { ended: 'GuestShutdown' }],
  [
    'shut itself down before anybody saw it run',
    { ...never, launch: { ...launch, confirmed: false } },
    {},
    { ended: 'GuestShutdown' },
  ],
  ['obeyed the power button', { ...never, launch: { ...launch, pressed: true } }, {}, {}],
  ['went down with its host', never, { held: true }, {}],
] as const)(
  'Guest that %s has ended so for an agent that finds its process gone: %#',
  (_name, record, change, ending) => {
    const noted = withEnd(record, { ...sight, state: 'shutdown', ...change })
    const { launch: _launch, ...rest } = record
    expect(withEnd(noted, { ...sight, state: 'shutdown', ...change })).toBe(noted)
    expect(afterAbsence(noted, 'boot-1', now)).toEqual({ ...rest, ...ending })
    const anew = { ...noted, desired: decidedAnew(never.desired, {}) }
    expect(afterAbsence(anew, 'boot-1', now)).toEqual({ ...rest, desired: anew.desired })
  },
)

test.each([
  ['runs', running, 'running'],
  ['was to stop', stopped, 'shutdown'],
  ['was to be followed by another', restarting, 'shutdown'],
] as const)('Nothing is noted of the end of a guest that %s', (_name, record, state) => {
  expect(withEnd(record, { ...sight, state })).toBe(record)
})

test('Machine without a launch is left as it is', () => {
  const record = newRecord({ desired })
  expect(afterAbsence(record, 'boot-1', now)).toBe(record)
})

test('Machine that is forgotten keeps its order, and nothing of the host', () => {
  const absent = newDesired({ power: 'Absent' })
  const record = newRecord({ desired: absent, launch, uid: 5000, claims: [{ id: absent.id, storage: 'fast' }] })
  expect(bury(record, now)).toEqual(newRecord({ desired: absent, buriedAt: now.toISOString() }))
})

test('Machine that is wanted again is not forgotten', () => {
  const record = newRecord({ desired, launch, uid: 5000 })
  expect(bury(record, now)).toBe(record)
})
