import { decided, type Outcome } from '../../lib/reconcile/outcome.ts'
import type { MachineDecision, Scope } from './scope.ts'

const MAX_FOLLOWS = 8

export interface DecisionDetails {
  /** What was asked for beyond power. */
  readonly how?: Pick<MachineDecision, 'request' | 'paused'>
  /** A decision that a host or a disk holds although it is not ours, after the platform's state was restored. */
  readonly seen?: { readonly id: string; readonly epoch: number }
}

/** Puts the next decision into the status. It counts once it is stored: only then may a host hear of it. */
export function decide(
  { status, deps }: Scope,
  power: MachineDecision['power'],
  host: string,
  { how, seen }: DecisionDetails = {},
): Outcome {
  const before = status.decision
  // The latest first, for the oldest are dropped: a disk is most likely held by one of the last decisions.
  const follows = new Set([seen?.id, before?.id, ...(before?.follows ?? [])].filter((id) => id !== undefined))
  status.decision = {
    id: deps.newId(),
    epoch: Math.max(before?.epoch ?? 0, seen?.epoch ?? 0) + 1,
    power,
    host,
    follows: [...follows].slice(0, MAX_FOLLOWS),
    ...how,
  }
  return decided
}
