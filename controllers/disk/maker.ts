import type { Disk } from '../../crds/disk.ts'
import { makerOf } from '../../crds/virtual-machine.ts'
import type { Scope } from './scope.ts'

/** A disk that was made for one machine is attached to it from its first moment; its label says so. */
export function claimForMaker({ metadata }: Disk, status: Scope['status']): void {
  const machineId = makerOf(metadata)
  if (machineId !== undefined) status.attachedTo = { virtualMachine: metadata.name.replace(/-root$/, ''), machineId }
}
