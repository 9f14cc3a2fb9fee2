import { DiskCondition, DiskReason } from '../../../crds/disk.ts'
import { done, waiting } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { knownBytes, toBytes } from '../../../policy/quantity.ts'
import type { Scope } from '../scope.ts'
import { agentOf, putDisk, RETRY_MS, toDesiredDisk } from './host-disk.ts'

/** Has the host grow the disk. The disk can be used meanwhile, as it is. */
export const growDisk: Phase<Scope> = {
  condition: DiskCondition.SpecApplied,
  informs: true,

  async run(scope) {
    const { disk, status } = scope
    if ((knownBytes(status.size) ?? 0) >= toBytes(disk.spec.size)) return done
    const agent = agentOf(scope)
    if ('type' in agent) return agent
    const answer = await putDisk(scope, agent, { ...toDesiredDisk(scope), mustExist: true })
    if ('type' in answer) return answer
    if (answer.state === 'Ready') return done
    const machine = status.attachedTo?.virtualMachine
    return machine === undefined
      ? waiting(DiskReason.Growing, 'The disk is being made larger', RETRY_MS)
      : waiting(
          DiskReason.RestartRequired,
          `VirtualMachine ${machine} has the disk open and does not take the new size: it is tried again, and done when the machine is off`,
          RETRY_MS,
        )
  },
}
