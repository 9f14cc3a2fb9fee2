import { AgentError } from '../../../agent/errors.ts'
import { DiskCondition, DiskReason, fileIdOf, type Disk } from '../../../crds/disk.ts'
import type { RecycledResource } from '../../../crds/recycled-resource.ts'
import { makerOf, type VirtualMachine } from '../../../crds/virtual-machine.ts'
import { done, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { isHeld } from '../../../policy/attachment.ts'
import { contentsOfDisk, mayHoldData } from '../../../policy/recycled-contents.ts'
import { refusalText } from '../../fleet/refusal.ts'
import { isOpen } from '../../recycle-bin/bin.ts'
import { settleOrigin } from '../recover.ts'
import type { Scope } from '../scope.ts'

const RETRY_MS = 5_000

/**
 * Puts the disk into the recycle bin once no machine uses it any more; or destroys it, where its policy says so. One that
 * was made for a machine goes as the entry of that machine says.
 */
export const removeDisk: Phase<Scope> = {
  condition: DiskCondition.CleanedUp,

  async run(scope) {
    const settled = await settleOrigin(scope)
    if (settled) return settled
    const user = userOf(scope)
    const withMachine = await goAlong(scope, user)
    if (withMachine) return withMachine
    if (user) {
      return waiting(
        DiskReason.InUse,
        `The disk is attached to VirtualMachine ${user.metadata.name}: it is deleted once it is detached there, or the machine is deleted`,
      )
    }
    return putAway(scope)
  },
}

/** The machine that the disk is attached to, as long as it is there. */
function userOf({ status, namespace, deps }: Scope): VirtualMachine | undefined {
  const { attachedTo } = status
  if (!attachedTo) return undefined
  const found = deps.virtualMachine(namespace, attachedTo.virtualMachine)
  return isHeld(attachedTo, found) ? found : undefined
}

/** What becomes of a disk whose machine is being deleted and takes it along; nothing when that is not so, or not yet. */
async function goAlong(scope: Scope, user: VirtualMachine | undefined): Promise<Outcome | undefined> {
  const { disk } = scope
  const entry = entryWithUs(scope, user)
  if (!entry) return undefined
  const isEmpty = !mayHoldData(disk)
  // It was not seen when the machine was put away: it is a disk like any other then.
  if (!isEmpty && !isIn(entry, disk)) return putAway(scope)
  const outcome = isEmpty || entry.spec.deletion.policy === 'Immediate' ? await destroy(scope, entry) : done
  if (outcome.type === 'done') await dropOwn(scope)
  return outcome
}

/** The entry of a machine that is put away, once that says what goes along: the disk does, or was made for the machine. */
function entryWithUs(scope: Scope, user: VirtualMachine | undefined): RecycledResource | undefined {
  const { disk, status, namespace, deps } = scope
  const isGoing = (entry: RecycledResource) => {
    const machine = deps.virtualMachine(namespace, entry.spec.resource.name)
    return machine?.metadata.uid === entry.spec.resource.uid && machine.metadata.deletionTimestamp !== undefined
  }
  // One that was deleted as it came back is attached to nobody yet.
  if (!user) return deps.bin.ofFile(fileIdOf(disk)).find((entry) => isIn(entry, disk) && isGoing(entry))
  const entry = deps.bin.find(user.metadata.uid)
  if (!entry?.spec.contents || user.metadata.deletionTimestamp === undefined) return undefined
  return isIn(entry, disk) || makerOf(disk.metadata) === status.attachedTo?.machineId ? entry : undefined
}

function isIn({ spec: { contents } }: RecycledResource, { metadata: { uid } }: Disk): boolean {
  return contents?.disks?.some((held) => held.uid === uid) ?? false
}

/** Where the namespace went, admission saw both the machine and its disk. */
async function dropOwn({ disk, deps: { bin } }: Scope): Promise<void> {
  const own = bin.find(disk.metadata.uid)
  if (own && isOpen(own)) await bin.remove(own)
}

async function putAway(scope: Scope): Promise<Outcome> {
  const { disk, deps } = scope
  const entry = await deps.bin.open(disk)
  if (!entry || !isOpen(entry)) return done
  const isImmediate = entry.spec.deletion.policy === 'Immediate'
  if (isImmediate || !mayHoldData(disk)) {
    const outcome = await destroy(scope)
    if (isImmediate || outcome.type !== 'done') return outcome
  }
  await deps.bin.close(await deps.bin.fill(entry, contentsOfDisk(disk)))
  return done
}

/** Deletes the file; of a disk that goes along with its machine, as the entry of that says. */
async function destroy(scope: Scope, along?: RecycledResource): Promise<Outcome> {
  const storage = scope.status.dataStorage ?? scope.disk.spec.dataStorage
  if (storage === undefined) return done // It was never on a storage.
  // A status can be written by others too: what another one stands for is not ours to destroy.
  return isOfAnother(scope, along) ? done : deleteFile(scope, storage)
}

async function deleteFile({ disk, status, deps }: Scope, storage: string): Promise<Outcome> {
  // The host still knows the folder when the DataStorage is gone, or was made anew elsewhere.
  const name = status.host ?? deps.candidates.storage(storage)?.host
  if (name === undefined) return done // A storage that never was has none of our files.
  const host = deps.fleet.get(name)
  if (!host) return waiting(DiskReason.HostNotFound, `There is no Host ${name}, where the file is: create it again`)
  if (host.state !== 'Connected') return unreachable(name)
  try {
    await host.agent.deleteDisk(storage, fileIdOf(disk))
    deps.seen.delete(disk.metadata.uid)
    return done
  } catch (error) {
    if (error instanceof AgentError) return refused(name, error)
    throw error
  }
}

function isOfAnother({ disk, deps: { disksOfFile, bin } }: Scope, along: RecycledResource | undefined): boolean {
  const id = fileIdOf(disk)
  const { uid } = disk.metadata
  const ours = [uid, along?.metadata.name]
  if (id !== uid && bin.ofFile(id).some(({ metadata }) => !ours.includes(metadata.name))) return true
  return disksOfFile(id).some((other) => other.metadata.uid !== uid && fileIdOf(other) === id)
}

function refused(host: string, error: AgentError): Outcome {
  if (error.code === 'UNREACHABLE') return unreachable(host, RETRY_MS)
  const reason = error.code === 'DISK_IN_USE' ? DiskReason.InUse : DiskReason.HostRefused
  return waiting(reason, refusalText(host, error), RETRY_MS)
}

function unreachable(host: string, retryAfterMs?: number): Outcome {
  const message = `Host ${host} does not answer; the file is deleted when it does`
  return waiting(DiskReason.HostUnreachable, message, retryAfterMs)
}
