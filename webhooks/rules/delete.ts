import { CONFIRM_ANNOTATION, type DeletionSettings } from '../../crds/deletion.ts'
import type { Kind, Resource } from '../../crds/kind.ts'
import { removalOf } from '../../policy/brake.ts'
import { confirmationFor, type DeletionDecision } from '../../policy/deletion.ts'
import type { Contents } from '../../policy/recycled-contents.ts'
import { recoverCommand } from '../../policy/recovery.ts'
import { nameOf } from '../review.ts'
import { count, firstObjection, listed, refuse, type Rule } from './rule.ts'

/** What a rule about a delete may look at. Gathered once a request. */
export interface DeleteFacts {
  readonly kind: Kind
  readonly object: Resource
  /** User name of who deletes it. */
  readonly person: string
  /** Deletes because something else was deleted: the owner, or the namespace. Was decided there. */
  readonly isConsequence: boolean
  readonly settings: DeletionSettings
  /** Of a kind that has a recycle bin. */
  readonly decision: DeletionDecision | undefined
  /** `namespace/name` of VirtualMachines that use it and stay. */
  readonly machines: readonly string[]
  /** `namespace/name` of Disks that are on it, made from it, or attached to it. */
  readonly disks: readonly string[]
  /** `namespace/name` of those Disks that go along with it. */
  readonly goAlong: readonly string[]
  /** `namespace/name` of those Disks that were to go along with it and stay, and why: the end of a sentence. */
  readonly heldBack: ReadonlyMap<string, string>
  /** Names of DataStorages on it. */
  readonly storages: readonly string[]
  /** `Kind namespace/name (entry)` of what the recycle bin has that is on it, or was made from it. */
  readonly binned: readonly string[]
  /** Whether the brake lets it through. */
  readonly brakeAllows: boolean
  /** What would confirm it, for its consequences. */
  readonly token: string
}

/** What is said of a delete of one kind. */
export interface DeleteRules {
  readonly inUse: readonly Rule<DeleteFacts>[]
  /** What it does, with counts and without times: the token that confirms it follows from this. */
  readonly consequences: (facts: Consequent) => readonly string[]
  /** What the recycle bin keeps of one that goes without being put away. The disks of a machine have entries of their own. */
  readonly contents?: (object: Resource) => Contents
}

/** What consequences follow from. */
export type Consequent = Pick<
  DeleteFacts,
  'object' | 'decision' | 'machines' | 'disks' | 'goAlong' | 'heldBack' | 'storages' | 'binned'
>

/**
 * In the order of the guards. Who may delete at all was asked before admission. What is outside of every namespace goes
 * with no namespace, and nothing of ours owns it: an owner that somebody gave it takes it from nobody who uses it.
 */
export function objectionToDelete({ inUse, consequences }: DeleteRules, facts: DeleteFacts) {
  if (facts.isConsequence) return facts.kind.scope === 'Cluster' ? firstObjection(inUse, facts) : undefined
  return firstObjection([...inUse, brakeAllows, isConfirmed(consequences)], facts)
}

/**
 * Another owner may be gone already, or go whenever somebody likes, and takes the object with it: it passes the guards
 * of a delete when it is given one, for later nobody asks who uses it.
 */
export function objectionToOwner({ inUse, consequences }: DeleteRules, facts: DeleteFacts) {
  const objection = firstObjection([...inUse, brakeAllows, isConfirmed(consequences)], facts)
  return (
    objection &&
    refuse(objection.reason, `an object goes with its owners, so another one counts as a delete: ${objection.message}`)
  )
}

/** What is in the recycle bin could not be brought back from it. */
export function holdsNothingBinned(facts: DeleteFacts) {
  const { binned } = facts
  if (binned.length === 0) return undefined
  const holds = `${count(binned.length, 'object')} that ${binned.length === 1 ? 'is' : 'are'} in the recycle bin`
  return refuse(
    'InUse',
    `${subject(facts)} holds ${holds}: ${listed(binned)}: set spec.action of these entries to Recover or Purge first`,
  )
}

function brakeAllows(facts: DeleteFacts) {
  return facts.brakeAllows ? undefined : beyondBrake(facts)
}

/** Refuses a delete, or the purge of an entry, that the mass-delete brake does not let through. */
export function beyondBrake({ person, kind, settings: { brake } }: Pick<DeleteFacts, 'person' | 'kind' | 'settings'>) {
  const { verb, things } = removalOf(kind.kind)
  return refuse(
    'BrakeLatched',
    `${person} ${verb}d ${brake.deletes} ${things} within ${brake.seconds} s, and no more are let through: if that is meant, somebody with the permission bulkDelete on ${kind.plural} adds {person: ${JSON.stringify(person)}, kind: ${kind.kind}, until: TIME} to spec.deletion.brakeReleases of PlatformSettings default; otherwise stop what ${verb}s them`,
  )
}

function isConfirmed(consequences: DeleteRules['consequences']): Rule<DeleteFacts> {
  return (facts) => {
    const { kind, object, settings, decision, token } = facts
    if (confirmationFor(kind.kind, settings, decision?.policy) === 'None') return undefined
    const { name, namespace, annotations } = object.metadata
    const given = annotations?.[CONFIRM_ANNOTATION]
    if (given === token) return undefined
    const where = namespace === undefined ? '' : ` -n ${namespace}`
    const command = `kubectl annotate ${kind.plural}.${kind.group} ${name}${where} --overwrite ${CONFIRM_ANNOTATION}=${token}`
    const what = consequences(facts).join('; ')
    const why =
      given === undefined
        ? 'this delete has to be confirmed'
        : 'the confirmation is not for these consequences, which may have changed'
    return refuse('ConfirmationRequired', `${why}: ${what}. To go on, run: ${command}, and delete it again`)
  }
}

/** What a user should know about a delete that goes through, or that has yet to be confirmed. */
export function reminder({ consequences }: DeleteRules, facts: DeleteFacts): string[] {
  return [...consequences(facts), ...wayBack(facts)]
}

function wayBack({ object, decision }: DeleteFacts): string[] {
  if (!decision) return []
  const command = recoverCommand(object.metadata.uid)
  switch (decision.policy) {
    case 'Immediate':
      return ['there is no way back: its deletion policy is Immediate']
    case 'Delayed':
      return [`it is destroyed at ${toSeconds(decision.purgeAt)}; until then it can be brought back`, command]
    case 'Never':
      return ['it is kept for good, takes its space for good, and can be brought back', command]
  }
}

function toSeconds(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`
}

/** `Kind namespace/name` of what is deleted. */
export function subject({ object }: Pick<DeleteFacts, 'object'>): string {
  return nameOf(object.kind, object.metadata)
}
