import type { Disk } from '../crds/disk.ts'
import type { VirtualMachine } from '../crds/virtual-machine.ts'

type Attachment = NonNullable<NonNullable<Disk['status']>['attachedTo']>

/**
 * Whether the machine that a disk is attached to still has it. `found` is what has the machine's name now: nothing, or
 * another one, when it went without giving its disks back. One whose identity is not known may be it.
 */
export function isHeld({ machineId }: Attachment, found: VirtualMachine | undefined): boolean {
  return found !== undefined && (found.status?.machineId ?? machineId) === machineId
}
