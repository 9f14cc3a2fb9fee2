import { OWNER_LABEL } from '../../../crds/deletion.ts'
import { DiskReason, type Disk } from '../../../crds/disk.ts'
import {
  MACHINE_ID_LABEL,
  makerOf,
  rootDiskName,
  VirtualMachineCondition,
  VirtualMachineReason,
} from '../../../crds/virtual-machine.ts'
import { blocked, done, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { isHeld } from '../../../policy/attachment.ts'
import { sizeOf } from '../../../policy/image-use.ts'
import { toBytes } from '../../../policy/quantity.ts'
import { newestFirst, recoverCommand } from '../../../policy/recovery.ts'
import { notReady } from '../../../policy/readiness.ts'
import { adoptedRoot } from '../adopt.ts'
import { binnedRootObjection } from '../binned-root.ts'
import { unreachable } from '../order.ts'
import { rootStorage } from '../root-storage.ts'
import type { Scope } from '../scope.ts'
import { isHeldBy } from '../surplus.ts'

/** Makes the root disk, and claims every disk for this machine, so that no other can open it. */
export const prepareDisks: Phase<Scope> = {
  condition: VirtualMachineCondition.DisksReady,
  after: [VirtualMachineCondition.ImageReady, VirtualMachineCondition.Placed],

  async run(scope) {
    const { vm, namespace, deps } = scope
    const root = vm.spec.rootDisk.imageRef ? await ownRootDisk(scope) : deps.disk(namespace, rootDiskName(vm))
    if (root && 'type' in root) return root
    const named = vm.spec.disks.map(({ diskRef: { name } }) => ({ name, disk: deps.disk(namespace, name) }))
    for (const { name, disk } of [{ name: rootDiskName(vm), disk: root }, ...named]) {
      const outcome = disk ? await claim(scope, disk) : noSuchDisk(scope, name)
      if (outcome.type !== 'done') return outcome
      if (disk) scope.disks.push(disk)
    }
    return done
  },
}

/** To create one in place of what can be brought back would hide that its data is kept. */
export function noSuchDisk({ namespace, deps: { bin } }: Scope, name: string): Outcome {
  const [entry] = newestFirst([...bin.ofObject('Disk', namespace, name), ...bin.ofDisk(namespace, name)])
  const { kind, name: machine } = entry?.spec.resource ?? {}
  const where = kind === 'VirtualMachine' ? `, with ${kind} ${machine}` : ''
  const next = entry ? `it is in the recycle bin${where}: ${recoverCommand(entry.metadata.name)}` : 'create it'
  return blocked(VirtualMachineReason.DiskNotFound, `There is no Disk ${name} in namespace ${namespace}: ${next}`)
}

/** The disk that is made from the image, at the first time and only then. */
async function ownRootDisk(scope: Scope): Promise<Disk | Outcome> {
  const { vm, namespace, status, deps } = scope
  const objection = () => binnedRootObjection(scope) ?? objectionToNew(scope)
  const found = deps.disk(namespace, rootDiskName(vm)) ?? objection() ?? (await makeRootDisk(scope))
  if ('type' in found) return found
  const { name, deletionTimestamp } = found.metadata
  const maker = makerOf(found.metadata)
  if (maker === status.machineId) return found
  if (deletionTimestamp !== undefined) {
    return waiting(VirtualMachineReason.DiskNameTaken, `An older Disk ${name} is still being deleted`)
  }
  if (wasOwn(scope, found)) {
    const message = `Disk ${name} is this machine's, but is not labelled so: set its label ${MACHINE_ID_LABEL} back to ${status.machineId}`
    return blocked(VirtualMachineReason.DiskInUse, message)
  }
  const how = maker === undefined ? '' : ` without its label ${MACHINE_ID_LABEL}`
  const message = `Disk ${name} exists and is not this machine's: delete it, boot from it${how} with rootDisk.diskRef, or use another name`
  return blocked(VirtualMachineReason.DiskNameTaken, message)
}

/** Whoever labels a disk anew also has it attached anew; but what the machine runs with, its host knows. */
function wasOwn({ status: { machineId = '', host = '' }, deps }: Scope, disk: Disk): boolean {
  const running = deps.fleet.get(host)?.machines.get(machineId)?.power === 'Running'
  return running || disk.status?.attachedTo?.machineId === machineId
}

/** A machine that its host knows had a disk. To start it with a fresh one would hide that its data is lost. */
function objectionToNew(scope: Scope): Outcome | undefined {
  const { vm, status, deps } = scope
  const { host: name = '', machineId = '' } = status
  const host = deps.fleet.get(name)
  if (host?.state !== 'Connected') return unreachable(name)
  const known = host.machines.get(machineId)
  // It may know one that was switched off before its disk was made.
  if (!known || known.disks?.length === 0 || adoptedRoot(scope)) return undefined
  const message = `Disk ${rootDiskName(vm)}, which the machine booted from, is gone: restore it, or delete the machine`
  return blocked(VirtualMachineReason.DiskNotFound, message)
}

/** A disk that is made for a machine belongs to whom the machine belongs. */
function labelsOf({ vm, status }: Scope): Record<string, string> {
  const owner = vm.metadata.labels?.[OWNER_LABEL]
  return { [MACHINE_ID_LABEL]: status.machineId ?? '', ...(owner !== undefined && { [OWNER_LABEL]: owner }) }
}

async function makeRootDisk(scope: Scope): Promise<Disk | Outcome> {
  const { vm, namespace, deps } = scope
  const { imageRef: { name: image } = { name: '' }, size } = vm.spec.rootDisk
  const found = deps.image(namespace, image)
  const wanted = size ?? (found && sizeOf(found))
  if (wanted === undefined) {
    const why = found ? 'is not ready: its size is not known yet' : 'is gone before its disk was made: create it again'
    return waiting(VirtualMachineReason.ImageNotReady, `Image ${image} ${why}`)
  }
  const adopted = adoptedRoot(scope)
  const storage = adopted ?? rootStorage(scope, toBytes(wanted))
  if ('type' in storage) return storage
  return deps.createDisk({
    metadata: { namespace, name: rootDiskName(vm), labels: labelsOf(scope) },
    spec: { size: wanted, ...(adopted ?? { ...storage, source: { image: { name: image } } }) },
  })
}

async function claim(scope: Scope, disk: Disk): Promise<Outcome> {
  const { status, name, deps } = scope
  const { machineId = '' } = status
  const maker = makerOf(disk.metadata)
  const objection = takenBy(scope, disk) ?? unusable(scope, disk)
  if (objection) return objection
  // The label claims the disk that was made for this machine, from its first moment and without another write.
  const { attachedTo } = disk.status ?? {}
  const claimed = maker !== undefined || (attachedTo?.machineId === machineId && attachedTo.virtualMachine === name)
  if (!claimed) await deps.setAttachment(disk, { virtualMachine: name, machineId })
  return done
}

function takenBy({ status: own, namespace, deps }: Scope, { metadata, status }: Disk): Outcome | undefined {
  const { name } = metadata
  const { machineId = '' } = own
  const { attachedTo: holder, heldBy } = status ?? {}
  const maker = makerOf(metadata)
  if (maker !== undefined && maker !== machineId) {
    return blocked(
      VirtualMachineReason.DiskInUse,
      `Disk ${name} was made for another VirtualMachine: use another disk, or take its label ${MACHINE_ID_LABEL} off if that machine is gone`,
    )
  }
  const isOthers = holder !== undefined && holder.machineId !== machineId
  // A machine that went without giving its disks back holds none; should it still run, its host says so.
  if (isOthers && isHeld(holder, deps.virtualMachine(namespace, holder.virtualMachine))) {
    const message = `Disk ${name} is attached to VirtualMachine ${holder.virtualMachine}: detach it there first, or use another disk`
    return blocked(VirtualMachineReason.DiskInUse, message)
  }
  if (heldBy === undefined || heldBy.machineId === machineId) return undefined
  const message = `Machine ${heldBy.machineId} of the host has Disk ${name}: see the message of the Disk, or use another disk`
  return blocked(VirtualMachineReason.DiskInUse, message)
}

function isLost({ status }: Disk): boolean {
  return status?.conditions?.some(({ type, reason }) => type === 'Ready' && reason === DiskReason.FileMissing) ?? false
}

/** What a guest has that is adopted, it is adopted with: its Disk waits for it to let go. */
function isAdoptedWith({ vm, status: { host = '', machineId = '' }, deps }: Scope, disk: Disk): boolean {
  if (vm.spec.adopt?.machineId !== machineId) return false
  const machine = deps.fleet.get(host)?.machines.get(machineId)
  return machine !== undefined && isHeldBy(machine, disk)
}

function unusable(scope: Scope, disk: Disk): Outcome | undefined {
  const { host } = scope.status
  const { name, deletionTimestamp } = disk.metadata
  if (deletionTimestamp !== undefined)
    return isAdoptedWith(scope, disk)
      ? undefined
      : waiting(VirtualMachineReason.DiskNotReady, `Disk ${name} is being deleted`)
  const at = disk.status?.host
  if (at !== undefined && at !== host) {
    return blocked(
      VirtualMachineReason.DiskNotReady,
      `Disk ${name} is on host ${at}, the machine on ${host}: use a disk on its host`,
    )
  }
  const obstacle = notReady(disk)
  if (obstacle !== undefined && isLost(disk)) {
    return blocked(VirtualMachineReason.DiskNotFound, `The file of Disk ${name} is gone: ${obstacle}`)
  }
  return obstacle === undefined || scope.deps.isMade(disk)
    ? undefined
    : waiting(VirtualMachineReason.DiskNotReady, `Disk ${name} is not ready: ${obstacle}`)
}
