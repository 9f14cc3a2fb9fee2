import type { ObservedMachine } from '../../../agent/contract.ts'
import { VirtualMachineCondition, VirtualMachineReason } from '../../../crds/virtual-machine.ts'
import { done, doneAs, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { decide } from '../decision.ts'
import { isHeldBy, isOfName, releaseSurplus, surplusDisks } from '../surplus.ts'
import { giveOrder, unreachable } from '../order.ts'
import { wantedPower } from '../run-strategy.ts'
import type { MachineDecision, Scope } from '../scope.ts'

/** Brings the machine to what was decided. Stopping needs nothing but the host; starting needs the disks too. */
export const reachPowerState: Phase<Scope> = {
  condition: VirtualMachineCondition.PowerStateReached,
  after: [VirtualMachineCondition.Placed],

  async run(scope) {
    const { vm, status } = scope
    const { decision, host = '' } = status
    const wanted = wantedPower(vm.spec.runStrategy, status)
    status.runStrategy = vm.spec.runStrategy
    if (decision?.power !== wanted) return decide(scope, wanted, host)

    const outcome = await carryOut(scope, decision)
    // Who did not answer may have taken an order that what we know of it is older than.
    if (outcome.type !== 'unknown') await releaseSurplus(scope)
    return outcome
  },
}

async function carryOut(scope: Scope, decision: MachineDecision): Promise<Outcome> {
  const { vm, disks } = scope
  const complete = disks.length === 1 + vm.spec.disks.length
  if (decision.power === 'Running' && !complete) return withoutDisks(scope, decision)
  const answer = await giveOrder(scope, decision)
  scope.observed = 'type' in answer ? seenOn(scope, decision.host) : answer
  return 'type' in answer ? answer : judge(scope, decision, answer)
}

/** A machine whose host refuses an order is still what it was. */
function seenOn({ status, deps }: Scope, name: string): ObservedMachine | undefined {
  const host = deps.fleet.get(name)
  return host?.state === 'Connected' ? host.machines.get(status.machineId ?? '') : undefined
}

/** A machine whose disks are not all there is not started; it may well be running with the ones it had. */
async function withoutDisks(scope: Scope, decision: MachineDecision): Promise<Outcome> {
  if (scope.deps.fleet.get(decision.host)?.state !== 'Connected') return unreachable(decision.host)
  scope.observed = seenOn(scope, decision.host)
  const refusal = await giveBack(scope, decision)
  const { observed } = scope
  if (observed?.power === 'Running') {
    const outcome = judge(scope, decision, observed)
    return outcome.type === 'done' ? (requestDue(decision, observed) ?? outcome) : outcome
  }
  return refusal ?? waiting(VirtualMachineReason.DiskNotReady, 'Its disks are not ready')
}

/** What was asked for of a guest waits until it can be ordered with all of its disks. */
function requestDue({ follows, request }: MachineDecision, { decision }: ObservedMachine): Outcome | undefined {
  // Else the host holds it already, or goes by one that we do not know: then it is not repeated.
  if (request === undefined || !follows.includes(decision.id)) return undefined
  const message = `Request ${request} is carried out once its disks are ready: see DisksReady`
  return waiting(VirtualMachineReason.DiskNotReady, message)
}

/**
 * Takes from the machine what its spec no longer names, and nothing else: two machines that swap disks would wait for
 * each other for ever. Its host may know an older decision only: then it is that which goes on with fewer disks.
 */
async function giveBack(scope: Scope, decision: MachineDecision): Promise<Outcome | undefined> {
  const { observed } = scope
  if (!observed || observed.power === 'Absent') return undefined
  if (!surplusDisks(scope).some((disk) => isOfName(scope, disk) && isHeldBy(observed, disk))) return undefined
  const { request: _once, ...held } = decision
  const older = observed.decision.id !== decision.id && { ...observed.decision, follows: [], paused: false }
  const answer = await giveOrder(scope, { ...held, ...older, power: observed.power })
  if ('type' in answer) return answer
  scope.observed = answer
  return undefined
}

function judge(scope: Scope, decision: MachineDecision, observed: ObservedMachine): Outcome {
  const { state } = observed
  if (decision.power === 'Stopped') return state === 'Stopped' ? whyOff(scope) : stopping
  return state === 'Stopped' ? whyNotOn(scope, observed) : judgeProcess(decision, observed)
}

/** Of a machine that is to have a process, and has one. */
function judgeProcess(decision: MachineDecision, observed: ObservedMachine): Outcome {
  const { state, problem } = observed
  if (problem?.code === 'MonitorSilent') return waiting(VirtualMachineReason.MonitorSilent, problem.message)
  if (decision.paused !== true && state === 'Running') return done
  if (problem) {
    const reason = state === 'Paused' ? VirtualMachineReason.Paused : VirtualMachineReason.StartFailed
    return waiting(reason, problem.message)
  }
  return decision.paused === true && state === 'Paused' ? paused : underWay(observed, decision)
}

function underWay({ state }: ObservedMachine, { request }: MachineDecision): Outcome {
  if (state === 'Paused') return waiting(VirtualMachineReason.Paused, 'The machine is paused')
  return request === 'Restart'
    ? waiting(VirtualMachineReason.Restarting, 'The guest is shut down, and then started again')
    : waiting(VirtualMachineReason.Starting, 'The machine is starting')
}

const stopping = waiting(VirtualMachineReason.Stopping, 'The guest was asked to shut down')
const paused = doneAs(VirtualMachineReason.PausedByUser, 'It is paused until a request Resume in spec.power')

function whyOff({ vm: { spec } }: Scope): Outcome {
  if (spec.runStrategy === 'Halted' || spec.runStrategy === 'Manual') return done
  const message = 'It was stopped by a request, and is off until a request Start in spec.power or another runStrategy'
  return doneAs(VirtualMachineReason.SuspendedByUser, message)
}

/** A machine that should run and does not: it waits for its next start, or it ended and is left so. */
function whyNotOn({ vm: { spec } }: Scope, { problem, retryAt }: ObservedMachine): Outcome {
  if (!problem) return waiting(VirtualMachineReason.Starting, 'The machine is starting')
  const { code, message } = problem
  const isShutdown = code === 'GuestShutdown'
  if (retryAt !== undefined && (isShutdown || code === 'Crashed')) {
    const what = isShutdown ? 'The guest shut itself down' : 'The machine ended without being told to'
    const how = 'it is started again at the time in status.restartAt: see its serial log'
    return waiting(VirtualMachineReason.CrashLoopBackOff, `${what}; ${how}`)
  }
  const left = `is left off under runStrategy ${spec.runStrategy}: request Start in spec.power`
  if (isShutdown) return doneAs(VirtualMachineReason.GuestShutdown, `The guest shut itself down, and ${left}`)
  return code === 'Crashed'
    ? waiting(VirtualMachineReason.Crashed, `The machine ended without being told to, and ${left}`)
    : waiting(VirtualMachineReason.StartFailed, message)
}
