import type { Claim, ObservedMachine } from '../../agent/contract.ts'
import { VirtualMachineReason } from '../../crds/virtual-machine.ts'
import { MAX_EPOCH } from '../../crds/virtual-machine-status.ts'
import { blocked, type Outcome } from '../../lib/reconcile/outcome.ts'
import { decide } from './decision.ts'
import type { MachineDecision, Scope } from './scope.ts'
import { successorObjection } from './successor.ts'

const LOOK_AGAIN_MS = 30_000

/** A host holds a decision that we do not know, so our state is a restored one: go on from the newer of both. */
export function overtake(scope: Scope, host: string, { decision: seen }: Claim): Outcome {
  if (seen.epoch >= MAX_EPOCH) {
    const message = `Host ${host} holds an order that no later one can follow: switch the guest off there, and create the machine anew`
    return blocked(VirtualMachineReason.HostRefused, message, LOOK_AGAIN_MS)
  }
  const objection = successorObjection(scope) ?? startedSince(scope, host)
  if (objection) return objection
  const { decision } = scope.status
  const power = decision?.power ?? 'Stopped'
  // A request that is to be carried out once may have been long ago: it is not repeated.
  const how = power === 'Running' && isToBePaused(scope, host) ? { paused: true } : undefined
  return decide(scope, power, host, { seen, isOwn: wasDecidedHere(scope), ...(how && { how }) })
}

/** Of a decision that came with the restored state, the guest knows better. */
function isToBePaused(scope: Scope, host: string): boolean {
  const held = heldBy(scope, host)
  if (wasDecidedHere(scope) || !held) return scope.status.decision?.paused === true
  // Without a problem it was by request.
  return held.state === 'Paused' && !held.problem
}

function wasDecidedHere({ status, deps }: Scope): boolean {
  return deps.orders.isDecidedHere(status.machineId ?? '', status.decision?.id ?? '')
}

function heldBy({ status, deps }: Scope, host: string): ObservedMachine | undefined {
  return deps.fleet.get(host)?.machines.get(status.machineId ?? '')
}

/**
 * Why a guest that its host was told to run after our state was stored is not ended for what that state says: somebody
 * wants it to run. What was asked for since is carried out.
 */
function startedSince(scope: Scope, host: string): Outcome | undefined {
  const { decision } = scope.status
  if (decision === undefined || decision.power === 'Running') return undefined
  if (!isStarted(heldBy(scope, host)) || wasAskedSince(scope, decision)) return undefined
  const message = `The guest was started on Host ${host} after this state was stored, and runs on: ${adviceFor(scope, decision)}`
  return blocked(VirtualMachineReason.StartedSince, message, LOOK_AGAIN_MS)
}

/** It runs, or is about to after a crash. */
function isStarted(held: ObservedMachine | undefined): boolean {
  return held?.power === 'Running' && (held.state !== 'Stopped' || held.retryAt !== undefined)
}

function wasAskedSince(scope: Scope, { power }: MachineDecision): boolean {
  if (power !== 'Absent') return wasDecidedHere(scope)
  const { vm, deps } = scope
  const deletedAt = Date.parse(vm.metadata.deletionTimestamp ?? '')
  return deletedAt >= deps.orders.since.getTime() || vm.spec.runStrategy === 'Halted'
}

function adviceFor({ vm }: Scope, { power }: MachineDecision): string {
  if (power === 'Absent') {
    return 'set runStrategy to Halted to have it deleted, or take its finalizers off and adopt the guest'
  }
  const start = vm.spec.runStrategy === 'Halted' ? 'set runStrategy to Always' : 'request Start in spec.power'
  return `${start} to have it so, and stop it after that if it is to be off`
}
