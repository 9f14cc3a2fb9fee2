import type { Disk } from '../../../crds/disk.ts'
import { makerOf, rootDiskName, VirtualMachineCondition, VirtualMachineReason } from '../../../crds/virtual-machine.ts'
import { done, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { decide } from '../decision.ts'
import { identityObjection } from '../identity.ts'
import { giveOrder } from '../order.ts'
import type { Scope } from '../scope.ts'

/** Shuts the machine down, has its host forget it, gives its disks back, and deletes the one that was made for it. */
export const removeMachine: Phase<Scope> = {
  condition: VirtualMachineCondition.CleanedUp,

  async run(scope) {
    const { status, deps } = scope
    const { machineId, decision, host } = status
    if (machineId === undefined || host === undefined) return done // It was never placed, so no host knows it.
    const objection = identityObjection(scope)
    if (objection) return objection
    if (decision?.power !== 'Absent') return decide(scope, 'Absent', host)

    const gone = await confirmAbsent(scope)
    if (gone.type !== 'done') return gone
    await giveDisksBack(scope, machineId)
    deps.orders.forget(machineId)
    return done
  },
}

async function giveDisksBack(scope: Scope, machineId: string): Promise<void> {
  const { deps } = scope
  for (const disk of deps.attachedTo(machineId)) {
    if (makerOf(disk.metadata) === undefined) await deps.setAttachment(disk, undefined)
  }
  for (const disk of deps.disksOf(machineId)) if (isOwnRoot(scope, disk)) await deps.deleteDisk(disk)
}

/** Somebody may have copied its manifest, label and all: a copy is not ours to delete. */
function isOwnRoot({ vm, namespace }: Scope, { metadata }: Disk): boolean {
  const isMade = vm.spec.rootDisk.imageRef !== undefined
  return isMade && metadata.namespace === namespace && metadata.name === rootDiskName(vm)
}

async function confirmAbsent(scope: Scope): Promise<Outcome> {
  const { decision } = scope.status
  if (!decision) return done
  const answer = await giveOrder(scope, decision)
  if ('type' in answer) return answer
  scope.observed = answer
  return answer.state === 'Absent' ? done : waiting(VirtualMachineReason.Stopping, 'The guest was asked to shut down')
}
