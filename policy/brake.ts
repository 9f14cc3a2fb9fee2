import { brakeOf, type BrakeConfigMap, type BrakeState } from '../crds/brake-record.ts'
import type { DeletionSettings } from '../crds/deletion.ts'
import type { HeldBrake } from '../crds/platform-settings.ts'
import { RecycledResource } from '../crds/recycled-resource.ts'

export const freshBrake: BrakeState = { deletes: [] }

/** A person's brake on a kind, at a time. */
export interface BrakeMoment {
  readonly state: BrakeState
  readonly person: string
  readonly kind: string
  readonly settings: Pick<DeletionSettings, 'brakeReleases'>
  readonly now: Date
}

export interface BrakeQuestion extends BrakeMoment {
  readonly uid: string
  readonly settings: Pick<DeletionSettings, 'brake' | 'brakeReleases'>
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
  const { state } = question
  return state.latchedAt === undefined || latchOf(question) ? state : freshBrake
}

/** A brake that holds. */
export interface Latch {
  readonly since: Date
  /** How many deletes were let through before. */
  readonly letThrough: number
  readonly lastRefusedAt: Date
  /** When it opens, unless it is leaned against or released before. */
  readonly opensAt: Date
}

/** What holds a person back from deleting a kind; undefined when nothing does. */
export function latchOf(moment: BrakeMoment): Latch | undefined {
  const { deletes, latchedAt, lastAttemptAt = latchedAt } = moment.state
  if (latchedAt === undefined || lastAttemptAt === undefined) return undefined
  const since = new Date(latchedAt)
  const lastRefusedAt = new Date(lastAttemptAt)
  const opensAt = new Date(lastRefusedAt.getTime() + FORGIVEN_MS)
  if (moment.now > opensAt || releaseOf(moment) > since.getTime()) return undefined
  return { since, letThrough: deletes.length, lastRefusedAt, opensAt }
}

/** Brakes that hold, as the status of PlatformSettings lists them: the latest first. */
export function heldBrakes(
  records: readonly BrakeConfigMap[],
  settings: BrakeMoment['settings'],
  now: Date,
): HeldBrake[] {
  const held = records.flatMap((record): HeldBrake[] => {
    const brake = brakeOf(record)
    const latch = brake && latchOf({ ...brake, settings, now })
    if (!latch) return []
    const { person, kind } = brake
    const { since, letThrough, lastRefusedAt, opensAt } = latch
    const times = { since: toSeconds(since), lastRefusedAt: toSeconds(lastRefusedAt), opensAt: toSeconds(opensAt) }
    return [{ person, kind, letThrough, ...times }]
  })
  return held.toSorted((a, b) => b.since.localeCompare(a.since) || byWhose(a, b))
}

function byWhose(a: HeldBrake, b: HeldBrake): number {
  return a.kind.localeCompare(b.kind) || a.person.localeCompare(b.person)
}

function toSeconds(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`
}

/** Words for what is counted of a kind: objects are deleted, and entries of the recycle bin are purged. */
export function removalOf(kind: string): { readonly verb: 'delete' | 'purge'; readonly things: string } {
  return kind === RecycledResource.kind
    ? { verb: 'purge', things: 'entries of the recycle bin' }
    : { verb: 'delete', things: `objects of kind ${kind}` }
}

/** Until when somebody released the brake, in milliseconds; 0 when nobody did. */
function releaseOf({ person, kind, settings }: BrakeMoment): number {
  const mine = settings.brakeReleases.filter((release) => release.person === person && release.kind === kind)
  // What the API server takes for a time, and JavaScript does not, releases nobody, and takes nothing from the others.
  return Math.max(0, ...mine.map(({ until }) => Date.parse(until)).filter((ms) => !Number.isNaN(ms)))
}

function attempted(state: BrakeState, now: Date): BrakeState {
  const isRecent = now.getTime() - Date.parse(state.lastAttemptAt ?? '1970-01-01T00:00:00Z') < ATTEMPT_MS
  return isRecent ? state : { ...state, lastAttemptAt: now.toISOString() }
}
