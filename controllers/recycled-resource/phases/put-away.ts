import { fileIdOf } from '../../../crds/disk.ts'
import {
  RecycledResourceCondition,
  RecycledResourceReason,
  type RecycledResource,
} from '../../../crds/recycled-resource.ts'
import { MACHINE_ID_LABEL } from '../../../crds/virtual-machine.ts'
import { decided, done, gone, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import type { Contents } from '../../../policy/recycled-contents.ts'
import { isOpen } from '../../recycle-bin/bin.ts'
import { stored } from '../parts.ts'
import { destroy } from '../purge.ts'
import type { Found, Scope } from '../scope.ts'

/** A delete that admission let through is stored within this time, or came to nothing. */
const STORED_WITHIN_MS = 120_000
const LOOK_AGAIN_MS = 30_000
const SOON_MS = 1_000

/**
 * Waits until the finalizer of the object has put it away. Where somebody took that off before, the entry keeps what the
 * delete saw of the object; one of Never stays also where that is nothing, for what belonged to the object ends no sooner.
 * One that nobody will complete is removed: its delete came to nothing, or its object went along with another one.
 */
export const awaitObject: Phase<Scope> = {
  condition: RecycledResourceCondition.PutAway,

  async run(scope) {
    const { entry, deps } = scope
    if (!isOpen(entry)) return done
    const { resource, deletion } = entry.spec
    const ageMs = deps.now().getTime() - Date.parse(deletion.at)
    const isOld = ageMs >= STORED_WITHIN_MS
    if (isSame(deps.seen(resource), resource.uid) && !isOld) return puttingAway(STORED_WITHIN_MS - ageMs)

    const found = await deps.read(resource)
    if (isSame(found, resource.uid)) return ofLiving(scope, found, isOld)
    return ofGone(scope)
  },
}

async function ofLiving({ entry, deps }: Scope, found: Found | undefined, isOld: boolean): Promise<Outcome> {
  if (!isOld || found?.metadata.deletionTimestamp !== undefined) return puttingAway(LOOK_AGAIN_MS)
  await deps.bin.remove(entry)
  return gone
}

/** A uid that is gone never comes back. */
async function ofGone(scope: Scope): Promise<Outcome> {
  const { entry, status, deps } = scope
  const { deletion, contents, lastSeen } = entry.spec
  const isKept = deletion.policy !== 'Immediate'
  if (isKept && contents) {
    // Its finalizer was taken off by somebody else, after all was stored.
    status.phase = 'Binned'
    return decided
  }
  const kept = isKept ? toKeep(scope) : undefined
  if (kept) {
    await deps.bin.fill(entry, kept)
    return puttingAway(SOON_MS)
  }
  if (!isKept && lastSeen && isNobodyElses(lastSeen, scope)) {
    // The finalizer has destroyed it, unless it was taken off before. What was made for a machine ends as that does.
    const outcome = wasMade(lastSeen) ? done : await destroy(scope, lastSeen)
    if (outcome.type !== 'done') return outcome
  }
  await deps.bin.remove(entry)
  return gone
}

/** What the entry keeps of an object that was not put away. Of a machine that is to be destroyed, the disks alone are kept. */
function toKeep(scope: Scope): Contents | undefined {
  const { resource, deletion, lastSeen } = scope.entry.spec
  if (deletion.policy === 'Never') return isKeptAsLong(scope) ? undefined : (lastSeen ?? { manifest: {} })
  return resource.kind !== 'VirtualMachine' && lastSeen && isNobodyElses(lastSeen, scope) ? lastSeen : undefined
}

/** Whether other entries keep all that one of Never would: it went along with its machine, or is in the bin once more. */
function isKeptAsLong({ entry, deps }: Scope): boolean {
  const { resource, lastSeen } = entry.spec
  const files = lastSeen?.disks ?? []
  const isKeeper = ({ metadata, spec: { deletion, contents }, status }: RecycledResource) => {
    if (metadata.name === entry.metadata.name) return false
    const wentAlong = contents?.disks?.some(({ uid }) => uid === resource.uid) === true
    return wentAlong || deletion.policy === 'Never' || status?.phase === 'Recovering'
  }
  return files.length > 0 && files.every(({ id }) => deps.bin.ofFile(id).some(isKeeper))
}

function wasMade({ manifest }: Contents): boolean {
  return stored.parse(manifest).metadata.labels?.[MACHINE_ID_LABEL] !== undefined
}

/**
 * Whether no other Disk and no other entry stands for the files, as those of its machine do that it went along with.
 * Anybody can ask for a file: who does has nothing yet.
 */
function isNobodyElses({ disks = [] }: Contents, { entry, deps }: Scope): boolean {
  const { uid: own } = entry.spec.resource
  return disks.every(({ id }) => {
    const entries = deps.bin.ofFile(id).filter(({ metadata }) => metadata.name !== entry.metadata.name)
    const owners = deps.disksOfFile(id).filter((disk) => fileIdOf(disk) === id && disk.metadata.uid !== own)
    return entries.length === 0 && owners.length === 0
  })
}

function isSame(found: Pick<Found, 'metadata'> | undefined, uid: string): boolean {
  return found?.metadata.uid === uid
}

function puttingAway(retryAfterMs: number): Outcome {
  return waiting(RecycledResourceReason.PuttingAway, 'The object is being put away: see its conditions', retryAfterMs)
}
