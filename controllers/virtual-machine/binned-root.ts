import { originOf, type RecycledResource } from '../../crds/recycled-resource.ts'
import { MACHINE_ID_LABEL, rootDiskName, VirtualMachineReason } from '../../crds/virtual-machine.ts'
import { blocked, type Outcome } from '../../lib/reconcile/outcome.ts'
import { newestFirst, recoverCommand } from '../../policy/recovery.ts'
import { makerIn } from '../recycle-bin/maker.ts'
import { adoptedRoot } from './adopt.ts'
import type { Scope } from './scope.ts'

/**
 * Why no root disk is made: the one that the machine had is in the recycle bin, apart from the machine. It had another
 * name there where the machine came back under another one.
 */
export function binnedRootObjection(scope: Scope): Outcome | undefined {
  const { vm, namespace, status, deps } = scope
  const name = rootDiskName(vm)
  const [own] = newestFirst(deps.bin.ofObject('Disk', namespace, name).filter((entry) => isOfMachine(scope, entry)))
  const entry = own ?? renamedRoot(scope)
  if (!entry) return undefined
  const isNamedSo = entry === own
  const { resource } = entry.spec
  const which = isNamedSo
    ? `Disk ${name} of this machine`
    : `Disk ${resource.namespace}/${resource.name} of this machine`
  const command = recoverCommand(entry.metadata.name, isNamedSo ? undefined : { namespace, name })
  const how = isNamedSo ? 'bring it back' : `bring it back as ${name}`
  const label = `then set its label ${MACHINE_ID_LABEL} to ${status.machineId}`
  const wayOut = isNamedSo ? '' : '; or bring it back under its own name, to have a new root disk made'
  const message = `${which} is in the recycle bin: ${how}: ${command}, and ${label}${wayOut}`
  return blocked(VirtualMachineReason.DiskNotFound, message)
}

/** A machine that was in the bin itself may have had a disk of its name whose label somebody took off. */
function isOfMachine({ vm, status }: Scope, entry: RecycledResource): boolean {
  if (!hasFile(entry)) return false
  const maker = makerIn(entry)
  return maker === undefined ? originOf(vm.metadata) !== undefined : maker === status.machineId
}

/** Nothing for a machine that is adopted: the disk that its guest runs with is its root disk. */
function renamedRoot(scope: Scope): RecycledResource | undefined {
  const { status, deps } = scope
  if (status.machineId === undefined || adoptedRoot(scope)) return undefined
  return newestFirst(deps.bin.ofMaker(status.machineId).filter(hasFile))[0]
}

function hasFile({ spec }: RecycledResource): boolean {
  return ((spec.contents ?? spec.lastSeen)?.disks ?? []).length > 0
}
