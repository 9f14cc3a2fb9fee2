import type { ObservedMachine } from '../../agent/contract.ts'
import type { Disk } from '../../crds/disk.ts'
import { makerOf, rootDiskName } from '../../crds/virtual-machine.ts'
import type { Scope } from './scope.ts'

/** What hosts call a disk. */
export const diskId = ({ metadata, status }: Disk): string => status?.id ?? metadata.uid

/** Disks that the machine has claimed and its spec no longer names. The one that was made for it is its own for good. */
export function surplusDisks({ vm, status, deps }: Scope): Disk[] {
  const named = new Set([rootDiskName(vm), ...vm.spec.disks.map(({ diskRef: { name } }) => name)])
  return deps
    .attachedTo(status.machineId ?? '')
    .filter(({ metadata }) => !named.has(metadata.name) && makerOf(metadata) === undefined)
}

/** Whether the machine is to have the disk as its host knows, or its host has yet to take it away. */
export function isHeldBy({ disks = [], pendingDisks = [] }: ObservedMachine, disk: Disk): boolean {
  return [...disks, ...pendingDisks].some(({ id }) => id === diskId(disk))
}

/** Gives back what the spec no longer names, once the host has: until then it may still be open there. */
export async function releaseSurplus(scope: Scope): Promise<void> {
  const { observed, status, deps } = scope
  if (!observed && deps.fleet.get(status.host ?? '')?.state !== 'Connected') return
  for (const disk of surplusDisks(scope)) {
    if (!observed || !isHeldBy(observed, disk)) await deps.setAttachment(disk, undefined)
  }
}
