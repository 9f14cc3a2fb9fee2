import { createHash } from 'node:crypto'
import type { DeletionPolicy, DeletionSettings } from '../crds/deletion.ts'
import { deletionPolicy, OWNER_LABEL } from '../crds/deletion.ts'
import type { Resource } from '../crds/kind.ts'
import { originOf } from '../crds/recycled-resource.ts'
import type { Kube } from '../lib/kube/client.ts'
import { askBrake, type BrakeVerdict } from '../policy/brake.ts'
import { confirmationToken } from '../policy/confirmation.ts'
import { decideDeletion, defaultDeletion, isRecyclable } from '../policy/deletion.ts'
import { ownerOf } from '../policy/ownership.ts'
import { isAllowed } from './access.ts'
import { entryKey, type Caches } from './caches.ts'
import { isConsequenceOf } from './callers.ts'
import { readEntry } from './entries.ts'
import { readBrake, type BrakeRecord } from './records.ts'
import { relationsOf } from './relations.ts'
import type { UserInfo } from './review.ts'
import type { Consequent, DeleteFacts, DeleteRules } from './rules/delete.ts'
import type { KindRules } from './rules/index.ts'
import { isEntryName } from './rules/recovery.ts'
import type { Change, Permission, Recovery, WriteFacts } from './rules/write.ts'
import type { Turns } from './turns.ts'

export interface Sources {
  readonly kube: Pick<Kube, 'send'>
  readonly caches: Caches
  /** By the clock of the API server. */
  readonly now: () => Date
  /** Of who writes a brake. */
  readonly turns: Turns
  /** Is told the kind of a brake that latches. */
  readonly onLatched?: ((kind: string) => void) | undefined
}

/** What holds now. */
export function settingsOf({ settings }: Caches): DeletionSettings {
  return settings.get('default')?.spec.deletion ?? defaultDeletion
}

/** Hexadecimal SHA-256. */
export function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

export interface DeleteRequest {
  readonly rules: KindRules & { readonly delete: DeleteRules }
  readonly object: Resource
  readonly user: UserInfo
}

export interface BrakeReading {
  readonly record: BrakeRecord
  readonly verdict: BrakeVerdict
}

/** What is read for a delete. `brake` is undefined for one that it does not count. */
export interface DeleteReading {
  readonly facts: DeleteFacts
  readonly brake: BrakeReading | undefined
}

/** Reads everything that the rules of a delete look at. Throws where it cannot be read. */
export async function gatherDelete(sources: Sources, request: DeleteRequest): Promise<DeleteReading> {
  const { caches } = sources
  const { rules, object, user } = request
  const { kind } = rules
  const isConsequence = isConsequenceOf(user.username)
  const brake = isConsequence ? undefined : await readAndAsk(sources, request)
  const settings = settingsOf(caches)
  const decision = isRecyclable(kind.kind)
    ? decideDeletion({ kind: kind.kind, override: overrideOf(object), settings, now: sources.now() })
    : undefined
  const consequent: Consequent = { object, decision, ...relationsOf(caches, object) }
  const facts: DeleteFacts = {
    ...consequent,
    kind,
    person: user.username,
    isConsequence,
    settings,
    brakeAllows: brake?.verdict.allowed ?? true,
    token: confirmationToken(object.metadata.uid, rules.delete.consequences(consequent), sha256Hex),
  }
  return { facts, brake }
}

function overrideOf({ spec }: Resource): DeletionPolicy | undefined {
  return deletionPolicy.optional().parse(spec['deletionPolicy'])
}

/** Reads the brake and asks it; whoever it would stop may hold the permission to pass. */
export async function readAndAsk(sources: Sources, request: DeleteRequest): Promise<BrakeReading> {
  const { kube, caches, now } = sources
  const { rules, object, user } = request
  const record = await readBrake(kube, user.username, rules.kind.kind)
  const question = {
    state: record.state,
    person: user.username,
    kind: rules.kind.kind,
    uid: object.metadata.uid,
    settings: settingsOf(caches),
    now: now(),
  }
  const verdict = askBrake({ ...question, passes: false })
  if (verdict.allowed || !(await passesBrake(sources, request))) return { record, verdict }
  return { record, verdict: askBrake({ ...question, passes: true }) }
}

/** Whether the brake never stops that person. */
export function passesBrake({ kube }: Sources, { rules, object, user }: DeleteRequest): Promise<boolean> {
  const { group, plural } = rules.kind
  return isAllowed(kube, user, { verb: 'bulkDelete', group, plural, namespace: object.metadata.namespace })
}

export interface WriteRequest {
  readonly rules: KindRules
  readonly object: Resource
  readonly before: Resource | undefined
  readonly user: UserInfo
}

/** Reads everything that the rules of a create or an update look at. Throws where it cannot be read. */
export async function gatherWrite(sources: Sources, { rules, ...request }: WriteRequest): Promise<WriteFacts> {
  const { kube, caches } = sources
  const { object, before, user } = request
  const origin = before ? undefined : originOf(object.metadata)
  const change: Change = {
    kind: rules.kind,
    object,
    before,
    recovery: origin === undefined ? undefined : await readRecovery(kube, origin),
    person: user.username,
    owner: ownerOf(user.username, sha256Hex),
    settings: settingsOf(caches),
  }
  const needed = rules.guarded.flatMap(({ needs }) => needs(change) ?? [])
  const held = new Map(
    await Promise.all(needed.map(async (one) => [idOf(one), await isAllowed(kube, user, one)] as const)),
  )
  return { ...change, binned: before ? [] : binnedAs(caches, object), can: (one) => held.get(idOf(one)) ?? false }
}

/** What is not the name of an entry is not read as one. */
async function readRecovery(kube: Sources['kube'], name: string): Promise<Recovery> {
  const entry = isEntryName(name) ? await readEntry(kube, name) : undefined
  return { name, entry, owner: entry?.metadata.labels?.[OWNER_LABEL] }
}

function idOf(permission: Permission): string {
  return JSON.stringify(permission)
}

/** Entries of that name that can be brought back, the newest first. */
function binnedAs({ recycled }: Caches, { kind, metadata }: Resource) {
  const entries = recycled.by('object', entryKey(kind, metadata.namespace, metadata.name))
  return entries
    .filter(({ spec }) => spec.deletion.policy !== 'Immediate')
    .toSorted((a, b) => b.spec.deletion.at.localeCompare(a.spec.deletion.at))
}
