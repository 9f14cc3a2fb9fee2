import { backOffMs, STABLE_AFTER_MS } from './back-off.ts'
import type { GuestState } from './guest.ts'
import type { Ending, MachineRecord } from './record.ts'

type HowEnded = Ending | 'Ordered' | 'FailedStart'

export interface LastSight {
  readonly state: GuestState
  /** The power button was pressed in the life of this process. */
  readonly pressed: boolean
  readonly seenRunning: boolean
  readonly held: boolean
}

/** Why a process is gone, from what was last seen of it. */
export function howEnded({ desired }: MachineRecord, { state, pressed, seenRunning, held }: LastSight): HowEnded {
  const isShutdown = state === 'shutdown'
  if (desired.power !== 'Running' || held || (pressed && isShutdown)) return 'Ordered'
  if (!seenRunning) return 'FailedStart'
  return isShutdown ? 'GuestShutdown' : 'Crash'
}

/** The record of a machine whose process is gone after `ranMs`. */
export function afterEnd(record: MachineRecord, how: HowEnded, ranMs: number, now: Date): MachineRecord {
  if (how === 'Ordered') return afterOrderedEnd(record)
  return how === 'FailedStart' ? afterFailedStart(record, now) : afterEnding(record, how, ranMs, now)
}

function afterOrderedEnd(record: MachineRecord): MachineRecord {
  const { launch: _launch, retryAt: _retryAt, ...rest } = record
  return { ...rest, failures: 0 }
}

function afterEnding(record: MachineRecord, ending: Ending, ranMs: number, now: Date): MachineRecord {
  const { launch: _launch, ...rest } = record
  if (record.desired.restart === 'Never') return { ...rest, ended: ending }
  const failures = (ranMs >= STABLE_AFTER_MS ? 0 : record.failures) + 1
  return { ...rest, failures, retryAt: after(now, backOffMs(failures)) }
}

// It is tried again, whatever its restart policy.
function afterFailedStart(record: MachineRecord, now: Date): MachineRecord {
  const { launch: _launch, ...rest } = record
  const failures = record.failures + 1
  return { ...rest, failures, retryAt: after(now, backOffMs(failures)) }
}

/** What a fresh agent makes of a launch whose process it does not find. */
export function afterAbsence(record: MachineRecord, bootId: string, now: Date): MachineRecord {
  const { launch, ...rest } = record
  if (!launch) return record
  // It may never have started; or it went with the host, and comes back with it.
  if (!launch.confirmed || launch.bootId !== bootId) return rest
  return record.desired.power === 'Running' ? afterEnding(record, 'Crash', 0, now) : rest
}

function after(now: Date, ms: number): string {
  return new Date(now.getTime() + ms).toISOString()
}
