import { isDeepStrictEqual } from 'node:util'
import { fileIdOf } from '../../crds/disk.ts'
import {
  originOf,
  RECOVER_ANNOTATION,
  RecycledResourceReason,
  targetOf,
  wantedOf,
} from '../../crds/recycled-resource.ts'
import { blocked, decided, done, gone, waiting, type Outcome } from '../../lib/reconcile/outcome.ts'
import { partsOf, type Part } from './parts.ts'
import type { Creation, Found, Place, Scope } from './scope.ts'
import { stillThere } from './still-there.ts'

/** Nobody tells that a name is free again, or that a namespace is gone. */
const LOOK_AGAIN_MS = 5_000
const RETRY_MS = 2_000

/** The object that a manifest made to be what the entry holds, and that is not being deleted; of several the oldest. */
export async function findClaimant({ entry, deps }: Scope): Promise<Place | undefined> {
  for (const place of deps.claimants(entry)) {
    if (isAlive(await deps.read(place), entry)) return place
  }
  return undefined
}

/** Decides that the object is brought back, there or as `spec.recoverAs` says, unless another one has its name. */
export async function beginRecovery({ entry, status, deps }: Scope, claimant?: Place): Promise<Outcome> {
  const { resource } = entry.spec
  const found = await deps.read(resource)
  if (found?.metadata.uid === resource.uid) return stillThere(found)
  if (!claimant && isUnseen(entry)) return unseen(entry)
  const { namespace, name } = claimant ?? wantedOf(entry)
  const parts = partsOf(entry, { namespace, name })
  const named = findTwice(parts) ?? (await findTaken(entry, deps, parts))
  if (named) return withWaysOut(named, !claimant)
  const taken = fileTaken(entry, deps)
  if (taken) return taken
  delete status.recoveringAs
  delete status.recoverTo
  status[claimant ? 'recoveringAs' : 'recoverTo'] = { namespace, name }
  status.phase = 'Recovering'
  return decided
}

/** Why nothing can be made there: another object has one of the names. */
async function findTaken(entry: Scope['entry'], deps: Scope['deps'], parts: readonly Part[]) {
  for (const { place } of parts) if (isAnother(await deps.read(place), entry)) return nameTaken(place)
  return undefined
}

/** A machine that is called otherwise may have its root disk called like another Disk that it took along. */
function findTwice(parts: readonly Part[]): Outcome | undefined {
  const disks = parts
    .filter(({ place }) => place.kind === 'Disk')
    .map(({ place }) => `${place.namespace}/${place.name}`)
  const twice = disks.find((disk, at) => disks.indexOf(disk) !== at)
  if (twice === undefined) return undefined
  const message = `Two of its Disks would be called ${twice} there: bring it back under another name`
  return blocked(RecycledResourceReason.NameTaken, message, LOOK_AGAIN_MS)
}

/** Whether nobody saw its object before that went. */
function isUnseen({ spec: { contents } }: Scope['entry']): boolean {
  return Object.keys(contents?.manifest ?? {}).length === 0
}

function unseen({ metadata, spec: { resource } }: Scope['entry']): Outcome {
  const { kind, namespace, name } = resource
  const message = `${kind} ${namespace}/${name} went before anybody saw what it was: apply its manifest with the annotation ${RECOVER_ANNOTATION}: ${metadata.name}`
  return blocked(RecycledResourceReason.RecoveryRefused, message, LOOK_AGAIN_MS)
}

/** Why none of its files can be given to another Disk: there is one that has it. */
function fileTaken(entry: Scope['entry'], deps: Scope['deps']): Outcome | undefined {
  const owners = (entry.spec.contents?.disks ?? []).flatMap(({ id, uid }) =>
    deps.disksOfFile(id).filter((disk) => fileIdOf(disk) === id && disk.metadata.uid !== uid),
  )
  const other = owners.find(({ metadata }) => originOf(metadata) !== entry.metadata.name)
  if (!other) return undefined
  const { namespace, name } = other.metadata
  const message = `Disk ${namespace}/${name} has its file: use that one, or delete it first`
  return blocked(RecycledResourceReason.RecoveryRefused, message, LOOK_AGAIN_MS)
}

/** Makes anew what is not there, the disks first; the entry goes once all is what it was. */
export async function recover(scope: Scope): Promise<Outcome> {
  const { entry, status, deps } = scope
  const target = targetOf(entry)
  if (!status.recoveringAs && !status.recoverTo) {
    // Begun before this was stored.
    status.recoverTo = target
    return decided
  }
  const parts = partsOf(entry, target)
  if (isCalledOff(scope) && !(await isBegun(scope, parts))) return backIntoTheBin(scope)
  const outcome = await bringAllBack(scope, parts)
  if (outcome.type === 'blocked') {
    const isMovable = status.recoverTo !== undefined && !(await isBegun(scope, parts))
    return withWaysOut(outcome, isMovable)
  }
  if (outcome.type !== 'done') return outcome
  await deps.bin.remove(entry)
  const message = `${entry.spec.resource.kind} ${target.namespace}/${target.name} is back`
  deps.emit(entry, { type: 'Normal', reason: 'Recovered', message })
  return gone
}

async function bringAllBack(scope: Scope, parts: readonly Part[]): Promise<Outcome> {
  const { entry, deps } = scope
  let isFirst = true
  for (const part of parts) {
    const found = await deps.read(part.place)
    if (isAnother(found, entry)) return nameTaken(part.place)
    if (!found && isFirst && (await isGivenUp(scope, parts))) return backIntoTheBin(scope)
    const outcome = found
      ? await seeBack(scope, part, found)
      : await bringBack(scope, part, isFirst ? parts.at(-1) : undefined)
    if (outcome.type !== 'done') return outcome
    isFirst = false
  }
  return done
}

/** Whether somebody took `spec.action` away, or wants it elsewhere. */
function isCalledOff({ entry, status: { recoverTo } }: Scope): boolean {
  if (!recoverTo) return false
  return entry.spec.action !== 'Recover' || !isDeepStrictEqual(wantedOf(entry), recoverTo)
}

/**
 * Whether anything was made for the entry: from then on there is no way back into the bin, for a file must not be in two
 * entries, nor in one and on a disk. What was made and deleted again may have an entry of its own. A Disk that is not the
 * first has no file before that one has its own (controllers/disk/recover.ts), and until then it only waits.
 */
async function isBegun(scope: Scope, parts: readonly Part[]): Promise<boolean> {
  return (await isMade(scope, parts)) || isFileElsewhere(scope)
}

async function isMade({ entry, deps }: Scope, parts: readonly Part[]): Promise<boolean> {
  for (const [index, { place }] of parts.entries()) {
    const found = await deps.read(place)
    const isWaiting = place.kind === 'Disk' && index > 0 && found?.status?.id === undefined
    if (found && !isAnother(found, entry) && !isWaiting) return true
  }
  return false
}

/** A Disk that only asks for the file gets it from no entry. */
function isFileElsewhere({ entry, deps }: Scope): boolean {
  const isOther = ({ metadata }: Scope['entry']) => metadata.name !== entry.metadata.name
  const isHad = (id: string) => deps.disksOfFile(id).some((disk) => fileIdOf(disk) === id)
  return (entry.spec.contents?.disks ?? []).some(({ id }) => isHad(id) || deps.bin.ofFile(id).some(isOther))
}

/** Says what somebody can do besides: what `spec.action` asked for can go elsewhere as long as nothing was made. */
function withWaysOut(outcome: Outcome, isMovable: boolean): Outcome {
  if (outcome.type !== 'blocked' || !isMovable) return outcome
  const waysOut = 'or write another place into spec.recoverAs of this entry, or take its spec.action away'
  return { ...outcome, message: `${outcome.message}; ${waysOut}` }
}

/** Whether what a manifest made is deleted again, before anything was made for it. */
async function isGivenUp({ entry, status, deps }: Scope, parts: readonly Part[]): Promise<boolean> {
  const last = parts.at(-1)
  if (!status.recoveringAs || !last) return false
  return !isAlive(await deps.read(last.place), entry)
}

function backIntoTheBin({ status }: Scope): Outcome {
  delete status.recoveringAs
  delete status.recoverTo
  status.phase = 'Binned'
  return decided
}

async function seeBack(scope: Scope, { place, isItself }: Part, found: Found): Promise<Outcome> {
  await scope.deps.disown(place, found)
  if (isItself(found)) return done
  const message = `${place.kind} ${place.namespace}/${place.name} is being brought back: see its conditions`
  return waiting(RecycledResourceReason.Recovering, message, LOOK_AGAIN_MS)
}

/** Makes a part anew. With the first one, `whole` is what they are parts of: nothing is made that could not be whole. */
async function bringBack(scope: Scope, part: Part, whole: Part | undefined): Promise<Outcome> {
  const { entry, deps } = scope
  const { namespace } = part.place
  // Who may recover need not be one who makes namespaces: the one that it was in is made again, and no other.
  const isItsOwn = namespace === entry.spec.resource.namespace
  if (isItsOwn && (await deps.makeNamespace(namespace)) === 'Terminating') {
    const message = `An older namespace ${namespace} is still being deleted`
    return waiting(RecycledResourceReason.NamespaceEnding, message, RETRY_MS)
  }
  if (whole && whole !== part) {
    const tried = await deps.tryOut(whole.place, whole.manifest, entry.metadata.name)
    if (tried.type !== 'made') return whyNotMade(whole.place, tried)
  }
  const made = await deps.create(part.place, part.manifest, entry.metadata.name)
  return made.type === 'made' ? seeBack(scope, part, made.object) : whyNotMade(part.place, made)
}

function whyNotMade(place: Place, creation: Exclude<Creation, { readonly type: 'made' }>): Outcome {
  if (creation.type === 'taken') return nameTaken(place)
  const message = `${place.kind} ${place.namespace}/${place.name} cannot be made: ${creation.message}`
  return blocked(RecycledResourceReason.RecoveryRefused, message, LOOK_AGAIN_MS)
}

function isAnother(found: Found | undefined, entry: Scope['entry']): boolean {
  return found !== undefined && originOf(found.metadata) !== entry.metadata.name
}

function isAlive(found: Found | undefined, entry: Scope['entry']): boolean {
  return found !== undefined && !isAnother(found, entry) && found.metadata.deletionTimestamp === undefined
}

function nameTaken({ kind, namespace, name }: Place): Outcome {
  const message = `There is another ${kind} ${namespace}/${name}: delete that one`
  return blocked(RecycledResourceReason.NameTaken, message, LOOK_AGAIN_MS)
}
