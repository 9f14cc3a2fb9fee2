import { createHash } from 'node:crypto'
import type { DeletionPolicy } from '../crds/deletion.ts'
import { deletionPolicy, OWNER_LABEL } from '../crds/deletion.ts'
import { Disk } from '../crds/disk.ts'
import type { Resource } from '../crds/kind.ts'
import { originOf, type RecyclableKind } from '../crds/recycled-resource.ts'
import { makerOf } from '../crds/virtual-machine.ts'
import { keyOf } from '../lib/kube/paths.ts'
import { confirmationToken } from '../policy/confirmation.ts'
import { decideDeletion, entriesOfMaker, isRecyclable, type DeletionQuestion } from '../policy/deletion.ts'
import { ownerOf } from '../policy/ownership.ts'
import { entryKey, newestFirst, newestOf } from '../policy/recovery.ts'
import { isAllowed } from './access.ts'
import type { Caches } from './caches.ts'
import { isConsequenceOf } from './callers.ts'
import { readAndAsk, type BrakeReading, type Removal } from './count-deletes.ts'
import { readEntry } from './entries.ts'
import { holdersNow } from './holders.ts'
import { goesAlong, relationsOf } from './relations.ts'
import type { UserInfo } from './review.ts'
import type { Consequent, DeleteFacts, DeleteRules } from './rules/delete.ts'
import type { KindRules } from './rules/index.ts'
import type { Ending } from './rules/namespace.ts'
import { seenBy } from './seen.ts'
import { settingsOf, type Sources } from './sources.ts'
import { isEntryName } from './rules/recovery.ts'
import { permissionsFor, type Change, type Permission, type Recovery, type WriteFacts } from './rules/write.ts'

/** Hexadecimal SHA-256. */
export function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

export interface DeleteRequest extends Removal {
  readonly rules: DeleteRules
}

/** What is read for a delete. `brake` is undefined for one that it does not count. */
export interface DeleteReading {
  readonly facts: DeleteFacts
  readonly brake: BrakeReading | undefined
}

/** Reads everything that the rules of a delete look at. Throws where it cannot be read. */
export async function gatherDelete(sources: Sources, request: DeleteRequest): Promise<DeleteReading> {
  const { kube, caches } = sources
  const { kind, rules, object, user } = request
  const isConsequence = isConsequenceOf(user.username)
  const brake = isConsequence ? undefined : await readAndAsk(sources, request)
  const settings = settingsOf(caches)
  const decision = isRecyclable(kind.kind)
    ? decideDeletion({
        kind: kind.kind,
        override: overrideOf(object),
        machine: machineOf(caches, object),
        settings,
        now: sources.now(),
      })
    : undefined
  const relations = relationsOf(caches, object, decision)
  const isAsked = kind.kind === Disk.kind && !isConsequence
  const machines = isAsked ? await holdersNow(kube, object, relations.machines) : relations.machines
  const consequent: Consequent = { object, decision, ...relations, machines }
  const isAskedFromAfar = kind.scope === 'Cluster' && !isConsequence
  const facts: DeleteFacts = {
    ...(isAskedFromAfar ? await seenBy(sources, user, consequent) : consequent),
    kind,
    person: user.username,
    isConsequence,
    settings,
    brakeAllows: brake?.verdict.allowed ?? true,
    token: confirmationToken(
      object.metadata.uid,
      [...rules.consequences(consequent), ...namesIn(consequent)],
      sha256Hex,
    ),
  }
  return { facts, brake }
}

/** All that the consequences are about, of which they may name the first few. */
function namesIn({ machines, disks, goAlong, heldBack, storages, binned }: Consequent): string[] {
  return [machines, disks, goAlong, [...heldBack.keys()], storages, binned].map((names) => names.toSorted().join(' '))
}

/** What becomes of what is in a namespace when that is deleted. Disks that go along with their machine are not counted. */
export function endingsIn({ caches, now }: Sources, namespace: string): Ending[] {
  const { machines, disks, images } = caches
  const settings = settingsOf(caches)
  const at = now()
  const decisionOn = (kind: RecyclableKind, object: Resource) =>
    decideDeletion({ kind, override: overrideOf(object), settings, now: at })
  const withMachine = (disk: Disk) =>
    makerOf(disk.metadata) !== undefined ||
    goesAlong(caches, disk, { disk: decisionOn('Disk', disk), of: (vm) => decisionOn('VirtualMachine', vm) })
  const within = ({ metadata }: Resource) => metadata.namespace === namespace
  const objects: readonly Resource[] = [
    ...machines.list().filter(within),
    ...disks.list().filter((disk) => within(disk) && !withMachine(disk)),
    ...images.list().filter(within),
  ]
  return objects.flatMap((object) => {
    const { kind } = object
    return isRecyclable(kind) ? [{ kind, policy: decisionOn(kind, object).policy }] : []
  })
}

/** The machine that a Disk was made for. Of one that is gone, what the recycle bin has of it. */
function machineOf({ machines, disks, recycled }: Caches, { metadata }: Resource): DeletionQuestion['machine'] {
  const maker = makerOf(metadata)
  if (maker === undefined) return undefined
  const found = machines.by('disk', keyOf(metadata)).find(({ status }) => (status?.machineId ?? maker) === maker)
  const disk = disks.get(keyOf(metadata)) ?? { metadata }
  const binned = entriesOfMaker(disk, {
    ofObject: (kind, namespace, name) => recycled.by('object', entryKey(kind, namespace, name)),
    ofMachine: (machineId) => recycled.by('machine', machineId),
  })
  return { override: found?.spec.deletionPolicy, binned }
}

function overrideOf({ spec }: Resource): DeletionPolicy | undefined {
  return deletionPolicy.optional().parse(spec['deletionPolicy'])
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
  const needed = rules.guarded.flatMap((one) => permissionsFor(one, change))
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

/** Entries of that name that can be brought back: first the one that a create under Restore gets, then the newest. */
function binnedAs({ recycled }: Caches, { kind, metadata }: Resource) {
  const alone = recycled.by('object', entryKey(kind, metadata.namespace, metadata.name))
  const entries = [...alone, ...(kind === Disk.kind ? recycled.by('disk', keyOf(metadata)) : [])]
  const best = newestOf(entries)
  const others = newestFirst(entries.filter((one) => one !== best && one.spec.deletion.policy !== 'Immediate'))
  return best ? [best, ...others] : others
}
