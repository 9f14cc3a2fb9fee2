import type { Kind, Resource } from '../crds/kind.ts'
import type { BrakeState } from '../crds/brake-record.ts'
import { askBrake, type BrakeVerdict } from '../policy/brake.ts'
import { isAllowed } from './access.ts'
import type { Batch } from './batches.ts'
import { readBrake, writeBrake, type BrakeRecord } from './records.ts'
import type { UserInfo } from './review.ts'
import { settingsOf, type Sources } from './sources.ts'

const ATTEMPTS = 20

/** What the brake counts: that somebody deletes an object, or purges an entry. */
export interface Removal {
  readonly kind: Kind
  readonly object: Resource
  readonly user: UserInfo
}

export interface BrakeReading {
  readonly record: BrakeRecord
  readonly verdict: BrakeVerdict
}

/** A removal that the brake has to count. */
export interface Counting {
  readonly sources: Sources
  readonly asked: Removal
  /** What the brake said when it was asked first. */
  readonly first: BrakeReading
}

/** Reads the brake and asks it. */
export async function readAndAsk(sources: Sources, asked: Removal): Promise<BrakeReading> {
  const record = await readBrake(sources.kube, asked.user.username, asked.kind.kind)
  return { record, verdict: await ask(record.state, sources, asked) }
}

/** Whether what the brake decided changes nothing of what is written. */
export function isKept({ record, verdict }: BrakeReading): boolean {
  return verdict.next === record.state
}

/**
 * Writes down what the brake decides of removals of one person and kind, with one write for all of them: else those who
 * delete much at once would be in each other's way. Returns which are let through. Another replica may have been faster:
 * then it is asked anew, and may say no.
 */
export async function countDeletes({ items, hasWaited }: Batch<Counting>): Promise<boolean[]> {
  const [{ asked, first }] = items
  const { sources } = items.at(-1) ?? items[0] // It has the most time left.
  const whose = { person: asked.user.username, kind: asked.kind.kind }
  let record = hasWaited ? await readBrake(sources.kube, whose.person, whose.kind) : first.record
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const { state, allowed } = await askAll(record, items)
    if (state === record.state) return allowed
    if (await writeBrake(sources.kube, whose, record, state)) {
      if (state.latchedAt !== undefined && record.state.latchedAt === undefined) sources.onLatched?.(whose.kind)
      return allowed
    }
    record = await readBrake(sources.kube, whose.person, whose.kind)
  }
  throw new Error(`the brake of ${whose.person} on ${whose.kind} changes faster than it can be written`)
}

async function askAll(record: BrakeRecord, items: readonly Counting[]) {
  let { state } = record
  const allowed: boolean[] = []
  for (const { sources, asked } of items) {
    const verdict = await ask(state, sources, asked)
    state = verdict.next
    allowed.push(verdict.allowed)
  }
  return { state, allowed }
}

/** Whoever it would stop may hold the permission to pass. */
async function ask(
  state: BrakeState,
  { kube, caches, now }: Sources,
  { kind: { kind, group, plural }, object, user }: Removal,
): Promise<BrakeVerdict> {
  const { uid, namespace } = object.metadata
  const question = { state, person: user.username, kind, uid, settings: settingsOf(caches), now: now() }
  const verdict = askBrake({ ...question, passes: false })
  if (verdict.allowed) return verdict
  const passes = await isAllowed(kube, user, { verb: 'bulkDelete', group, plural, namespace })
  return passes ? askBrake({ ...question, passes }) : verdict
}
