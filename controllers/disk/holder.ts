import type { ObservedMachine } from '../../agent/contract.ts'
import { DiskReason, fileIdOf } from '../../crds/disk.ts'
import { diskNames, makerOf, type VirtualMachine } from '../../crds/virtual-machine.ts'
import { doneAs, type Outcome } from '../../lib/reconcile/outcome.ts'
import { isHeld } from '../../policy/attachment.ts'
import type { Scope } from './scope.ts'

/**
 * Notes which machine of the host has the file although our records say otherwise: they may be older than what runs. A
 * host that does not answer has nothing to say about that: what it said last stays.
 */
export function noteHolder(scope: Scope): void {
  const { disk, status, deps } = scope
  const host = deps.fleet.get(status.host ?? '')
  if (host?.state !== 'Connected') return
  const holder = host.machines.holderOf(fileIdOf(disk))
  delete status.heldBy
  if (holder && !isUser(scope, holder)) status.heldBy = { machineId: holder.id, ...nameOf(scope, holder) }
}

/** Whether it is the machine that the disk is attached to, and that is there; or one that names it, under another name. */
function isUser({ disk, status: { attachedTo }, namespace, deps }: Scope, { id }: ObservedMachine): boolean {
  if (attachedTo && attachedTo.machineId !== id) return false
  const isNamedBy = (vm: VirtualMachine) =>
    vm.metadata.namespace === namespace && diskNames(vm).includes(disk.metadata.name)
  if (deps.machinesOf(id).some(isNamedBy)) return true
  // Until that is stored, the label alone says so.
  if (!attachedTo) return makerOf(disk.metadata) === id
  return isHeld(attachedTo, deps.virtualMachine(namespace, attachedTo.virtualMachine))
}

/** Nobody learns here what is in another namespace. */
function nameOf({ namespace }: Scope, { name }: ObservedMachine): { name?: string } {
  return name.startsWith(`${namespace}/`) ? { name } : {}
}

/** The disk is as it should be, but whoever wants it should know who has it. */
export function heldByOther({ status: { heldBy, host = '' } }: Scope): Outcome | undefined {
  if (!heldBy) return undefined
  const { machineId, name } = heldBy
  const whose = name === undefined ? '' : `, started for VirtualMachine ${name}`
  const message = `Machine ${machineId} of Host ${host}${whose}, has the file: name the disk in spec.disks of that VirtualMachine and of no other, or, where it is gone, adopt the machine`
  return doneAs(DiskReason.InUse, message)
}
