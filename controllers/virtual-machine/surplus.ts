import type { ObservedMachine } from '../../agent/contract.ts'
import { fileIdOf, type Disk } from '../../crds/disk.ts'
import { diskNames, makerOf } from '../../crds/virtual-machine.ts'
import type { Scope } from './scope.ts'

/** Disks that the machine has claimed and its spec no longer names. The one that was made for it is its own for good. */
export function surplusDisks({ vm, status, deps }: Scope): Disk[] {
  const named = new Set(diskNames(vm))
  return deps
    .attachedTo(status.machineId ?? '')
    .filter(({ metadata }) => !named.has(metadata.name) && makerOf(metadata) !== status.machineId)
}

/**
 * Ids of the disks that its host is to take from a guest which runs: those that it has there, that are the machine's by
 * our records, and that its spec no longer names. Of others that it has, our records may be too old to know.
 */
export function disksToDetach(scope: Scope, host: string): string[] {
  const { vm, status, deps } = scope
  const { machineId = '' } = status
  const known = deps.fleet.get(host)?.machines.get(machineId)?.disks ?? []
  const named = new Set(diskNames(vm))
  const unnamed = [...deps.attachedTo(machineId), ...deps.disksOf(machineId)].filter(
    (disk) => isOfName(scope, disk) && !named.has(disk.metadata.name),
  )
  const files = new Set(unnamed.map(fileIdOf))
  return known.map(({ id }) => id).filter((id) => files.has(id))
}

/**
 * Whether the disk was given to this very VirtualMachine. What its guest was given under another name, as before it was
 * adopted, its spec never named: that it does not do so now says nothing.
 */
export function isOfName({ namespace, name }: Scope, { metadata, status }: Disk): boolean {
  return metadata.namespace === namespace && (status?.attachedTo?.virtualMachine ?? name) === name
}

/** Whether the machine is to have the disk as its host knows, or its host has yet to take it away. */
export function isHeldBy({ disks = [], pendingDisks = [] }: ObservedMachine, disk: Disk): boolean {
  return [...disks, ...pendingDisks].some(({ id }) => id === fileIdOf(disk))
}

/** Gives back what the spec no longer names, once the host has: until then it may still be open there. */
export async function releaseSurplus(scope: Scope): Promise<void> {
  const { observed, status, deps } = scope
  if (!observed && deps.fleet.get(status.host ?? '')?.state !== 'Connected') return
  for (const disk of surplusDisks(scope)) {
    if (!observed || !isHeldBy(observed, disk)) await deps.setAttachment(disk, undefined)
  }
}
