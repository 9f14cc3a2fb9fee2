import type { Disk } from '../../../crds/disk.ts'
import { makerOf, rootDiskName, VirtualMachineCondition, VirtualMachineReason } from '../../../crds/virtual-machine.ts'
import { done, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { isOpen } from '../../recycle-bin/bin.ts'
import { toContents } from '../contents.ts'
import { decide } from '../decision.ts'
import { identityObjection } from '../identity.ts'
import { giveOrder } from '../order.ts'
import { settleOrigin } from '../recover.ts'
import type { Scope } from '../scope.ts'

/**
 * Shuts the machine down, has its host forget it, and puts it into the recycle bin together with the disk that was made
 * for it. Other disks are given back, and stay. Where the policy is to destroy at once, the entry lasts until that is done.
 */
export const removeMachine: Phase<Scope> = {
  condition: VirtualMachineCondition.CleanedUp,

  async run(scope) {
    const { vm, status, deps } = scope
    const settled = await settleOrigin(scope)
    if (settled) return settled
    const opened = await deps.bin.open(vm)
    if (!opened || !isOpen(opened)) return done
    const stopped = await stop(scope)
    if (stopped.type !== 'done') return stopped
    const { machineId } = status
    const own = machineId === undefined ? [] : deps.disksOf(machineId).filter((disk) => isOwnRoot(scope, disk))
    // Stored before any disk goes: each asks the entry whether it goes along.
    const entry = await deps.bin.fill(opened, toContents(scope, own))
    if (machineId !== undefined && !(await giveDisksBack(scope, machineId, own)))
      return waiting(VirtualMachineReason.PuttingAway, 'Its root disk is being put away')
    if (entry.spec.deletion.policy !== 'Immediate') await deps.bin.close(entry)
    if (machineId !== undefined) deps.orders.drop(machineId)
    return done
  },
}

/** Done when no host has it any more. */
async function stop(scope: Scope): Promise<Outcome> {
  const { machineId, decision, host } = scope.status
  if (machineId === undefined || host === undefined) return done // It was never placed, so no host knows it.
  const objection = identityObjection(scope)
  if (objection) return objection
  return decision?.power === 'Absent' ? confirmAbsent(scope) : decide(scope, 'Absent', host)
}

/** Whether those that go with the machine are gone. */
async function giveDisksBack({ deps }: Scope, machineId: string, own: readonly Disk[]): Promise<boolean> {
  for (const disk of deps.attachedTo(machineId)) {
    if (makerOf(disk.metadata) === undefined) await deps.setAttachment(disk, undefined)
  }
  for (const disk of own) await deps.deleteDisk(disk)
  return own.every(({ metadata }) => deps.disk(metadata.namespace ?? '', metadata.name)?.metadata.uid !== metadata.uid)
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
