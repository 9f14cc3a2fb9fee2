import { decided, type Outcome } from '../../lib/reconcile/outcome.ts'
import type { MachineDecision, Scope } from './scope.ts'

const MAX_FOLLOWS = 8
/** More decisions than one machine has in its life. An epoch that is further ahead of its host is not from us. */
const MAX_LEAD = 2 ** 32

export interface DecisionDetails {
  /** What was asked for beyond power. */
  readonly how?: Pick<MachineDecision, 'request' | 'paused'>
  /** A decision that a host or a disk holds although it is not ours, after the platform's state was restored. */
  readonly seen?: { readonly id: string; readonly epoch: number }
  /** Whether it is from this process and not from a state that was there before. True unless told. */
  readonly isOwn?: boolean
}

/** Puts the next decision into the status. It counts once it is stored: only then may a host hear of it. */
export function decide(
  scope: Scope,
  power: MachineDecision['power'],
  host: string,
  { how, seen, isOwn = true }: DecisionDetails = {},
): Outcome {
  const { status, deps } = scope
  const before = status.decision
  // The latest first, for the oldest are dropped: a disk is most likely held by one of the last decisions.
  const follows = new Set([seen?.id, before?.id, ...(before?.follows ?? [])].filter((id) => id !== undefined))
  const next = {
    id: deps.newId(),
    epoch: Math.max(lastEpoch(scope, host), seen?.epoch ?? 0) + 1,
    power,
    host,
    follows: [...follows].slice(0, MAX_FOLLOWS),
    ...how,
  }
  status.decision = next
  if (isOwn) noteOwn(scope, next.id)
  return decided
}

function noteOwn({ status, deps }: Scope, id: string): void {
  deps.orders.decided(status.machineId ?? '', id)
}

/**
 * Whether a stored decision can be one that we made. A status can be written by others too: then its epoch may be too
 * high for any other to follow it, or its power another than the host was told of that very decision.
 */
export function isOurs(scope: Scope, { id, epoch, power, host }: MachineDecision): boolean {
  const held = heldBy(scope, host)
  if (epoch > (held?.epoch ?? 0) + MAX_LEAD) return false
  return held?.id !== id || held.power === power
}

function lastEpoch(scope: Scope, host: string): number {
  const { decision } = scope.status
  return decision && isOurs(scope, decision) ? decision.epoch : (heldBy(scope, host)?.epoch ?? 0)
}

function heldBy({ status, deps }: Scope, host: string) {
  const machine = deps.fleet.get(host)?.machines.get(status.machineId ?? '')
  return machine && { ...machine.decision, power: machine.power }
}
