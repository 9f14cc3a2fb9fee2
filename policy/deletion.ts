import { deletionSettings, type Confirmation, type DeletionPolicy, type DeletionSettings } from '../crds/deletion.ts'
import type { Disk } from '../crds/disk.ts'
import type { RecyclableKind, RecycledResource } from '../crds/recycled-resource.ts'
import { makerOf } from '../crds/virtual-machine.ts'

/** What holds without PlatformSettings. */
export const defaultDeletion: DeletionSettings = deletionSettings.parse({})

const settingsOf = { VirtualMachine: 'virtualMachine', Disk: 'disk', Image: 'image' } as const
const confirmedKinds = { Host: 'host', DataStorage: 'dataStorage' } as const

/** Whether what is deleted of a kind goes to the recycle bin. */
export function isRecyclable(kind: string): kind is RecyclableKind {
  return Object.hasOwn(settingsOf, kind)
}

/** What the settings say of a kind. */
export function deletionOf(kind: RecyclableKind, settings: DeletionSettings): DeletionSettings['disk'] {
  return settings[settingsOf[kind]]
}

/** Decided at that time, by the clock of the API server. */
export type DeletionDecision = { readonly at: Date } & (
  | { readonly policy: 'Immediate' | 'Never' }
  | { readonly policy: 'Delayed'; readonly retention: string; readonly purgeAt: Date }
)

export interface DeletionQuestion {
  readonly kind: RecyclableKind
  /** `spec.deletionPolicy` of the object. */
  readonly override: DeletionPolicy | undefined
  /** Of a Disk that was made for a machine: what is known of that. */
  readonly machine?: Maker | undefined
  readonly settings: DeletionSettings
  /** By the clock of the API server. */
  readonly now: Date
}

export interface Maker extends Pick<DeletionQuestion, 'override'> {
  /** What the recycle bin has of it. */
  readonly binned?: readonly RecycledResource[]
}

/**
 * What a delete in this moment does. A disk that was made for a machine does not end sooner than that would, nor sooner
 * than what the recycle bin has of that.
 */
export function decideDeletion({ machine, ...question }: DeletionQuestion): DeletionDecision {
  const own = decideAlone(question)
  if (question.kind !== 'Disk' || !machine) return own
  const ofMachine = decideAlone({ ...question, kind: 'VirtualMachine', override: machine.override })
  const binned = (machine.binned ?? []).map(({ spec }) => decidedBy(spec.deletion, question.now))
  return [ofMachine, ...binned].reduce((latest, one) => (endOf(one) > endOf(latest) ? one : latest), own)
}

/** How entries of the recycle bin are found. */
export interface EntryFinder {
  readonly ofObject: (kind: RecyclableKind, namespace: string, name: string) => readonly RecycledResource[]
  /** Of the machine of that identity. */
  readonly ofMachine: (machineId: string) => readonly RecycledResource[]
}

/**
 * What the recycle bin has of the machine that a disk was made for. An entry that does not know which machine it was may
 * be its, where the name says so: then the disk is rather kept.
 */
export function entriesOfMaker(
  { metadata, status }: Pick<Disk, 'metadata' | 'status'>,
  { ofObject, ofMachine }: EntryFinder,
): RecycledResource[] {
  const maker = makerOf(metadata)
  if (maker === undefined) return []
  const { name, namespace = '' } = metadata
  const { attachedTo } = status ?? {}
  const names = new Set([name.replace(/-root$/, ''), ...(attachedTo ? [attachedTo.virtualMachine] : [])])
  const named = [...names].flatMap((machine) => ofObject('VirtualMachine', namespace, machine))
  return [...ofMachine(maker), ...named.filter((entry) => machineIn(entry) === undefined)]
}

/** Identity of the machine that an entry has, as far as it knows. */
export function machineIn({ spec: { contents, lastSeen } }: RecycledResource): string | undefined {
  return (contents ?? lastSeen)?.machineId
}

/** The decision that a delete was stamped with. */
export function decidedBy(
  { at: stampedAt, policy, retention, purgeAt }: RecycledResource['spec']['deletion'],
  at = new Date(stampedAt),
): DeletionDecision {
  const isDelayed = policy === 'Delayed' && retention !== undefined && purgeAt !== undefined
  if (isDelayed) return { at, policy, retention, purgeAt: new Date(purgeAt) }
  return { at, policy: policy === 'Never' ? 'Never' : 'Immediate' }
}

function decideAlone({ kind, override, settings, now }: DeletionQuestion): DeletionDecision {
  const { policy: byKind, retention } = deletionOf(kind, settings)
  const policy = override ?? byKind
  if (policy !== 'Delayed') return { at: now, policy }
  return { at: now, policy, retention, purgeAt: new Date(now.getTime() + retentionMs(retention)) }
}

/** When it is destroyed, to compare by. */
export function endOf(decision: DeletionDecision): number {
  if (decision.policy === 'Delayed') return decision.purgeAt.getTime()
  return decision.policy === 'Never' ? Infinity : -Infinity
}

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** Milliseconds of a retention such as 7d. Throws RangeError: one that cannot be read must not become none. */
export function retentionMs(retention: string): number {
  const [, count = '', unit = ''] = /^(\d{1,5})([smhd])$/.exec(retention) ?? []
  if (!isUnit(unit)) throw new RangeError(`${retention} is no retention`)
  return Number(count) * unitMs[unit]
}

function isUnit(text: string): text is keyof typeof unitMs {
  return Object.hasOwn(unitMs, text)
}

/** Whether a delete of that kind needs a confirmation. `policy` is the one in effect, where the kind has one. */
export function confirmationFor(
  kind: string,
  settings: DeletionSettings,
  policy: DeletionPolicy | undefined,
): Confirmation {
  if (isRecyclable(kind)) {
    return deletionOf(kind, settings).confirmation ?? (policy === 'Immediate' ? 'Required' : 'None')
  }
  return isConfirmed(kind) ? settings[confirmedKinds[kind]].confirmation : 'None'
}

function isConfirmed(kind: string): kind is keyof typeof confirmedKinds {
  return Object.hasOwn(confirmedKinds, kind)
}

/** `spec.deletion` of an entry of the recycle bin. */
export function toStamp(by: string, decision: DeletionDecision): RecycledResource['spec']['deletion'] {
  return {
    by: by.slice(0, MAX_PERSON),
    at: decision.at.toISOString(),
    policy: decision.policy,
    ...(decision.policy === 'Delayed' && { retention: decision.retention, purgeAt: decision.purgeAt.toISOString() }),
  }
}

const MAX_PERSON = 512
