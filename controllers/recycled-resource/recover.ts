import { originOf, RecycledResourceReason, targetOf } from '../../crds/recycled-resource.ts'
import { blocked, decided, done, gone, waiting, type Outcome } from '../../lib/reconcile/outcome.ts'
import { partsOf, type Part } from './parts.ts'
import type { Found, Place, Scope } from './scope.ts'
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
  if (found?.metadata.uid === resource.uid) return stillThere()
  for (const { place } of partsOf(entry, claimant ?? targetOf(entry))) {
    if (isAnother(await deps.read(place), entry)) return nameTaken(place)
  }
  if (claimant) status.recoveringAs = { namespace: claimant.namespace, name: claimant.name }
  status.phase = 'Recovering'
  return decided
}

/** Makes anew what is not there, the disks first; the entry goes once all is what it was. */
export async function recover(scope: Scope): Promise<Outcome> {
  const { entry, deps } = scope
  const parts = partsOf(entry, targetOf(entry))
  let isBegun = false
  for (const part of parts) {
    const found = await deps.read(part.place)
    if (isAnother(found, entry)) return nameTaken(part.place)
    if (!found && !isBegun && (await isGivenUp(scope, parts))) return backIntoTheBin(scope)
    const outcome = await bringBack(scope, part, found)
    if (outcome.type !== 'done') return outcome
    isBegun = true
  }
  await deps.bin.remove(entry)
  const { namespace, name } = targetOf(entry)
  const message = `${entry.spec.resource.kind} ${namespace}/${name} is back`
  deps.emit(entry, { type: 'Normal', reason: 'Recovered', message })
  return gone
}

/** Whether what a manifest made is deleted again, before anything was made for it. */
async function isGivenUp({ entry, status, deps }: Scope, parts: readonly Part[]): Promise<boolean> {
  const last = parts.at(-1)
  if (!status.recoveringAs || !last) return false
  return !isAlive(await deps.read(last.place), entry)
}

function backIntoTheBin({ status }: Scope): Outcome {
  delete status.recoveringAs
  status.phase = 'Binned'
  return decided
}

async function bringBack(scope: Scope, part: Part, found: Found | undefined): Promise<Outcome> {
  const { place, isItself } = part
  const object = found ?? (await makeAnew(scope, part))
  if ('type' in object) return object
  await scope.deps.disown(place, object)
  if (isItself(object)) return done
  const message = `${place.kind} ${place.namespace}/${place.name} is being brought back: see its conditions`
  return waiting(RecycledResourceReason.Recovering, message, LOOK_AGAIN_MS)
}

async function makeAnew({ entry, deps }: Scope, { place, manifest }: Part): Promise<Found | Outcome> {
  const { kind, namespace, name } = place
  if ((await deps.makeNamespace(namespace)) === 'Terminating') {
    const message = `An older namespace ${namespace} is still being deleted`
    return waiting(RecycledResourceReason.NamespaceEnding, message, RETRY_MS)
  }
  const made = await deps.create(place, manifest, entry.metadata.name)
  if (made.type === 'made') return made.object
  if (made.type === 'taken') return nameTaken(place)
  const message = `${kind} ${namespace}/${name} cannot be made: ${made.message}`
  return blocked(RecycledResourceReason.RecoveryRefused, message, LOOK_AGAIN_MS)
}

function isAnother(found: Found | undefined, entry: Scope['entry']): boolean {
  return found !== undefined && originOf(found.metadata) !== entry.metadata.name
}

function isAlive(found: Found | undefined, entry: Scope['entry']): boolean {
  return found !== undefined && !isAnother(found, entry) && found.metadata.deletionTimestamp === undefined
}

function nameTaken({ kind, namespace, name }: Place): Outcome {
  return blocked(
    RecycledResourceReason.NameTaken,
    `There is another ${kind} ${namespace}/${name}: delete or rename that one, or bring this one back under another name`,
    LOOK_AGAIN_MS,
  )
}
