import type { Disk } from '../../crds/disk.ts'
import { makerOf } from '../../crds/virtual-machine.ts'
import { isHeld } from '../../policy/attachment.ts'
import type { Scope } from './scope.ts'

/**
 * A disk that was made for one machine is attached to it from its first moment; its label says so. One that was labelled
 * later stays with the machine that has it, as long as that is there.
 */
export function claimForMaker({ disk: { metadata }, status, namespace, deps }: Scope): void {
  const machineId = makerOf(metadata)
  if (machineId === undefined) return
  const { attachedTo } = status
  const isOthers = attachedTo !== undefined && attachedTo.machineId !== machineId
  if (isOthers && isHeld(attachedTo, deps.virtualMachine(namespace, attachedTo.virtualMachine))) return
  status.attachedTo = { virtualMachine: machineNameOf(metadata), machineId }
}

/** Whether it was us who attached the disk, as its maker. All else the controller of virtual machines attaches. */
export function isClaimForMaker({ metadata, status }: Pick<Disk, 'metadata' | 'status'>): boolean {
  return makerOf(metadata) !== undefined && status?.attachedTo?.virtualMachine === machineNameOf(metadata)
}

function machineNameOf({ name }: Disk['metadata']): string {
  return name.replace(/-root$/, '')
}
