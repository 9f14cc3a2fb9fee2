import type { DeletionSettings } from '../crds/deletion.ts'

/** What is remembered of one person's deletes of one kind. Times are ISO 8601, by the clock of the API server. */
export interface BrakeState {
  /** Deletes that count, the oldest first. */
  readonly deletes: readonly { readonly uid: string; readonly at: string }[]
  /** Since when everything further is refused. */
  readonly latchedAt?: string | undefined
  /** When the last one was refused. */
  readonly lastAttemptAt?: string | undefined
}

export const freshBrake: BrakeState = { deletes: [] }

export interface BrakeQuestion {
  readonly state: BrakeState
  readonly person: string
  readonly kind: string
  readonly uid: string
  readonly settings: Pick<DeletionSettings, 'brake' | 'brakeReleases'>
  readonly now: Date
  /** Holds the verb bulkDelete: is counted, and never stopped. */
  readonly passes: boolean
}

export interface BrakeVerdict {
  readonly allowed: boolean
  /** What to remember if this is what happens; the same object when nothing changes. */
  readonly next: BrakeState
}

/** A latch that nobody leans against opens again after so long. */
const FORGIVEN_MS = 3_600_000
/** A refused attempt is written down no more often than this: who retries for ever must not write for ever. */
const ATTEMPT_MS = 60_000

/** Decides on one more delete. The same uid counts once, however often it is asked for. */
export function askBrake(question: BrakeQuestion): BrakeVerdict {
  const { uid, settings, now, passes } = question
  const state = reopened(question)
  if (state.deletes.some((counted) => counted.uid === uid)) return { allowed: true, next: state }
  if (releaseOf(question) > now.getTime()) return { allowed: true, next: state }
  if (state.latchedAt !== undefined && !passes) return { allowed: false, next: attempted(state, now) }

  const since = now.getTime() - settings.brake.seconds * 1_000
  const recent = state.deletes.filter(({ at }) => Date.parse(at) > since)
  if (recent.length < settings.brake.deletes) {
    return { allowed: true, next: { ...state, deletes: [...recent, { uid, at: now.toISOString() }] } }
  }
  if (passes) return { allowed: true, next: state }
  const at = now.toISOString()
  return { allowed: false, next: { deletes: recent, latchedAt: at, lastAttemptAt: at } }
}

/** The state without a latch that was released, or that an hour without an attempt has opened. */
function reopened(question: BrakeQuestion): BrakeState {
  const { state, now } = question
  if (state.latchedAt === undefined) return state
  const lastAt = Date.parse(state.lastAttemptAt ?? state.latchedAt)
  const isReleased = releaseOf(question) > Date.parse(state.latchedAt)
  return isReleased || now.getTime() - lastAt > FORGIVEN_MS ? freshBrake : state
}

/** Until when somebody released the brake, in milliseconds; 0 when nobody did. */
function releaseOf({ person, kind, settings }: BrakeQuestion): number {
  const mine = settings.brakeReleases.filter((release) => release.person === person && release.kind === kind)
  return Math.max(0, ...mine.map(({ until }) => Date.parse(until)))
}

function attempted(state: BrakeState, now: Date): BrakeState {
  const isRecent = now.getTime() - Date.parse(state.lastAttemptAt ?? '1970-01-01T00:00:00Z') < ATTEMPT_MS
  return isRecent ? state : { ...state, lastAttemptAt: now.toISOString() }
}
