import { isDeepStrictEqual } from 'node:util'
import type { Decision } from '../contract.ts'
import { backOffMs, STABLE_AFTER_MS } from './back-off.ts'
import type { GuestState } from './guest.ts'
import { isRestartDue, type Ending, type MachineRecord } from './record.ts'

type HowEnded = Ending | 'Ordered' | 'FailedStart'

/** What became of a process so far. */
export interface ProcessLife {
  /** Id of the decision that it was started under; undefined when an agent before this one did that. */
  readonly startedUnder: string | undefined
  readonly seenRunning: boolean
}

export interface LastSight extends ProcessLife {
  readonly state: GuestState
  readonly held: boolean
}

/** Why a process is gone, from what was last seen of it. */
export function howEnded(record: MachineRecord, sight: LastSight): HowEnded {
  const { desired } = record
  const isShutdown = sight.state === 'shutdown'
  const isToEnd = desired.power !== 'Running' || sight.held || isRestartDue(record)
  if (isToEnd || (record.launch?.pressed === true && isShutdown)) return 'Ordered'
  if (isShutdown) return 'GuestShutdown'
  if (sight.seenRunning) return 'Crash'
  // What could not start under another decision may well start under this one.
  return sight.startedUnder === desired.decision.id ? 'FailedStart' : 'Ordered'
}

/** Notes that a guest has shut down before its process is ended; the very same record when its absence says as much. */
export function withEnd(record: MachineRecord, sight: LastSight): MachineRecord {
  const { desired, launch } = record
  if (!launch || sight.state !== 'shutdown' || desired.power !== 'Running' || isRestartDue(record)) return record
  const how = howEnded(record, sight) === 'GuestShutdown' ? 'GuestShutdown' : 'Ordered'
  const end = { how, decision: desired.decision.id } as const
  return isDeepStrictEqual(launch.end, end) ? record : { ...record, launch: { ...launch, end } }
}

export interface Ended {
  readonly how: HowEnded
  /** That the machine was under. */
  readonly decision: Pick<Decision, 'id'>
  readonly ranMs: number
}

/** The record of a machine whose process is gone. What happened under an earlier decision is no ending of this one. */
export function afterEnd(record: MachineRecord, { how, decision, ranMs }: Ended, now: Date): MachineRecord {
  if (how === 'Ordered' || record.desired.decision.id !== decision.id) return afterOrderedEnd(record)
  return how === 'FailedStart' ? afterFailedStart(record, now) : afterEnding(record, how, ranMs, now)
}

function afterOrderedEnd(record: MachineRecord): MachineRecord {
  const { launch: _launch, retryAt: _retryAt, lastEnding: _lastEnding, ...rest } = record
  return { ...rest, failures: 0 }
}

function afterEnding(record: MachineRecord, ending: Ending, ranMs: number, now: Date): MachineRecord {
  const { launch: _launch, ...rest } = record
  if (!startsAgain(record, ending)) return { ...rest, ended: ending }
  const failures = (ranMs >= STABLE_AFTER_MS ? 0 : record.failures) + 1
  return { ...rest, failures, lastEnding: ending, retryAt: after(now, backOffMs(failures)) }
}

function startsAgain({ desired: { restart } }: MachineRecord, ending: Ending): boolean {
  return restart === 'Always' || (restart === 'OnFailure' && ending === 'Crash')
}

// It is tried again, whatever its restart policy.
function afterFailedStart(record: MachineRecord, now: Date): MachineRecord {
  const { launch: _launch, lastEnding: _lastEnding, ...rest } = record
  const failures = record.failures + 1
  return { ...rest, failures, retryAt: after(now, backOffMs(failures)) }
}

/** What a fresh agent makes of a launch whose process it does not find. */
export function afterAbsence(record: MachineRecord, bootId: string, now: Date): MachineRecord {
  const { launch, ...rest } = record
  if (!launch) return record
  const { end } = launch
  if (end) return afterEnd(record, { how: end.how, decision: { id: end.decision }, ranMs: 0 }, now)
  // It may never have started; or it went with the host, and comes back with it.
  if (!launch.confirmed || launch.bootId !== bootId || isRestartDue(record)) return rest
  return record.desired.power === 'Running' ? afterEnding(record, 'Crash', 0, now) : rest
}

/** The record of a machine that left nothing; the very same one when it is wanted again meanwhile. */
export function bury(record: MachineRecord, now: Date): MachineRecord {
  if (record.desired.power !== 'Absent') return record
  const { launch: _launch, uid: _uid, mayHoldOthers: _mayHoldOthers, ...rest } = record
  return { ...rest, claims: [], buriedAt: now.toISOString() }
}

function after(now: Date, ms: number): string {
  return new Date(now.getTime() + ms).toISOString()
}
