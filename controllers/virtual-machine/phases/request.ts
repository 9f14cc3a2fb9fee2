import { VirtualMachineCondition } from '../../../crds/virtual-machine.ts'
import { blocked, done, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { decide } from '../decision.ts'
import { isHandled, latestTime, objectionTo, toDecision } from '../power-request.ts'
import type { Scope } from '../scope.ts'

/** Makes a decision of a request, once; or says why it does not. Either is stored before anything acts. */
export const takeRequest: Phase<Scope> = {
  condition: VirtualMachineCondition.RequestAccepted,
  after: [VirtualMachineCondition.Placed],
  informs: true,

  run(scope) {
    const { vm, status, deps } = scope
    const { power: asked, runStrategy } = vm.spec
    if (asked && !isHandled(asked, status.power)) {
      const { power = 'Stopped', host = '' } = status.decision ?? {}
      const createdAt = vm.metadata.creationTimestamp
      const objection = objectionTo(asked, { handled: status.power, createdAt, now: deps.now(), runStrategy, power })
      const latest = latestTime(status.power, objection?.reason)
      status.power = { ...asked, ...objection, ...(latest !== undefined && { latest }) }
      if (!objection) return carryOut(scope, asked.request, host)
    }
    return asked ? answerTo(status) : done
  },
}

function carryOut(scope: Scope, request: Parameters<typeof toDecision>[0], host: string): Outcome {
  const { power, ...how } = toDecision(request)
  scope.status.runStrategy = scope.vm.spec.runStrategy
  return decide(scope, power, host, { how })
}

function answerTo({ power }: Scope['status']): Outcome {
  return power?.reason === undefined ? done : blocked(power.reason, power.message ?? '')
}
