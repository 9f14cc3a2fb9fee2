import type { Disk } from '../../../crds/disk.ts'
import { makerOf, VirtualMachineCondition, VirtualMachineReason } from '../../../crds/virtual-machine.ts'
import { done, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { isOpen } from '../../recycle-bin/bin.ts'
import { toContents } from '../contents.ts'
import { partDisks } from '../disks-that-go.ts'
import { decide } from '../decision.ts'
import { identityObjection } from '../identity.ts'
import { giveOrder } from '../order.ts'
import { settleOrigin } from '../recover.ts'
import type { Scope } from '../scope.ts'

/**
 * Shuts the machine down, has its host forget it, and puts it into the recycle bin together with the disk that was made
 * for it and those that it is to take along. Other disks are given back, and stay. Where the policy is to destroy at once, the entry lasts until that is done.
 */
export const removeMachine: Phase<Scope> = {
  condition: VirtualMachineCondition.CleanedUp,

  async run(scope) {
    const { vm, deps } = scope
    const settled = await settleOrigin(scope)
    if (settled) return settled
    const opened = await deps.bin.open(vm)
    if (!opened || !isOpen(opened)) return done
    const stopped = await stop(scope)
    if (stopped.type !== 'done') return stopped
    const { going, staying } = await partDisks(scope, opened)
    // Stored before any disk goes: each asks the entry whether it goes along.
    const filled = await deps.bin.fill(opened, toContents(scope, going))
    const entry = staying.length === 0 ? filled : await deps.bin.leaveOut(filled, staying)
    if (!(await giveDisksBack(scope, going)))
      return waiting(VirtualMachineReason.PuttingAway, 'Its disks are being put away')
    if (entry.spec.deletion.policy !== 'Immediate') await deps.bin.close(entry)
    dropOrders(scope)
    return done
  },
}

/** Done when no host has it any more. */
async function stop(scope: Scope): Promise<Outcome> {
  const { decision, host } = scope.status
  const objection = identityObjection(scope)
  if (objection) return objection
  if (host === undefined || scope.status.machineId === undefined) return done // It was never placed, so no host knows it.
  return decision?.power === 'Absent' ? confirmAbsent(scope) : decide(scope, 'Absent', host)
}

/** One that is on no host was given none: what its status says may be the identity of another one. */
function dropOrders({ status: { machineId, host }, deps }: Scope): void {
  if (machineId !== undefined && host !== undefined) deps.orders.drop(machineId)
}

/** Whether those that go with the machine are gone. All others are given back. */
async function giveDisksBack(scope: Scope, going: readonly Disk[]): Promise<boolean> {
  const { status, deps } = scope
  const uids = new Set(going.map(({ metadata }) => metadata.uid))
  for (const disk of status.machineId === undefined ? [] : deps.attachedTo(status.machineId)) {
    const stays = makerOf(disk.metadata) === undefined && !uids.has(disk.metadata.uid)
    if (stays && isNamedBy(disk, scope)) await deps.setAttachment(disk, undefined)
  }
  for (const disk of going) await deps.deleteDisk(disk)
  return going.every(
    ({ metadata }) => deps.disk(metadata.namespace ?? '', metadata.name)?.metadata.uid !== metadata.uid,
  )
}

/** A status can be written by others too: a disk that says another machine of this identity has it is not ours to detach. */
function isNamedBy({ metadata, status }: Disk, { namespace, name }: Scope): boolean {
  return metadata.namespace === namespace && status?.attachedTo?.virtualMachine === name
}

async function confirmAbsent(scope: Scope): Promise<Outcome> {
  const { decision } = scope.status
  if (!decision) return done
  const answer = await giveOrder(scope, decision)
  if ('type' in answer) return answer
  scope.observed = answer
  return answer.state === 'Absent' ? done : waiting(VirtualMachineReason.Stopping, 'The guest was asked to shut down')
}
