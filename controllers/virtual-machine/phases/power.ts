import type { ObservedMachine } from '../../../agent/contract.ts'
import { VirtualMachineCondition, VirtualMachineReason } from '../../../crds/virtual-machine.ts'
import { done, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { decide } from '../decision.ts'
import { giveOrder, unreachable } from '../order.ts'
import type { Scope } from '../scope.ts'

/** Brings the machine to what runStrategy asks. Stopping needs nothing but the host; starting needs the disks too. */
export const reachPowerState: Phase<Scope> = {
  condition: VirtualMachineCondition.PowerStateReached,
  after: [VirtualMachineCondition.Placed],

  async run(scope) {
    const { vm, status, disks } = scope
    const { decision, host = '' } = status
    const wanted = vm.spec.runStrategy === 'Always' ? 'Running' : 'Stopped'
    if (decision?.power !== wanted) return decide(scope, wanted, host)

    const complete = disks.length === 1 + vm.spec.disks.length
    if (wanted === 'Running' && !complete) return withoutDisks(scope, host)
    const answer = await giveOrder(scope, decision)
    if ('type' in answer) return answer
    scope.observed = answer
    return judge(answer, wanted)
  },
}

/** A machine whose disks are not all there is not started; it may well be running with the ones it had. */
function withoutDisks(scope: Scope, name: string): Outcome {
  const host = scope.deps.fleet.get(name)
  if (host?.state !== 'Connected') return unreachable(name)
  const observed = host.machines.get(scope.status.machineId ?? '')
  if (observed) scope.observed = observed
  if (observed?.power === 'Running') return judge(observed, 'Running')
  return waiting(VirtualMachineReason.DiskNotReady, 'Its disks are not ready')
}

function judge({ state, problem }: ObservedMachine, wanted: 'Running' | 'Stopped'): Outcome {
  if (state === wanted) return done
  if (problem)
    return waiting(state === 'Paused' ? VirtualMachineReason.Paused : VirtualMachineReason.StartFailed, problem.message)
  if (state === 'Paused') return waiting(VirtualMachineReason.Paused, 'The machine is paused')
  return wanted === 'Running'
    ? waiting(VirtualMachineReason.Starting, 'The machine is starting')
    : waiting(VirtualMachineReason.Stopping, 'The guest was asked to shut down')
}
