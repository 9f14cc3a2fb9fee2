import { isDeepStrictEqual } from 'node:util'
import { MAX_DISKS, type Claim, type DesiredMachine } from '../contract.ts'
import { AgentError } from '../errors.ts'
import { isRestartDue, type MachineRecord } from './record.ts'

/**
 * The record that an order leads to; the very same one when the order says nothing new.
 * Throws `STALE_EPOCH` for an order older than, or rivalling, the one that the host holds.
 */
export function accept(held: MachineRecord | undefined, ordered: DesiredMachine, isOff = true): MachineRecord {
  if (!held) return first(ordered)
  const desired = isOff || isToRestart(held, ordered) ? ordered : keepDisks(disksHadBy(held), ordered)
  const { decision, power } = held.desired
  if (desired.decision.epoch < decision.epoch) throw stale(held, `the host holds the newer epoch ${decision.epoch}`)
  if (desired.decision.epoch > decision.epoch) return afresh(held, desired)
  if (desired.decision.id !== decision.id)
    throw stale(held, `the host holds another decision of epoch ${decision.epoch}`)
  if (desired.power !== power) {
    throw new AgentError('BAD_REQUEST', `this decision is for power ${power}; another power needs another decision`)
  }
  return isDeepStrictEqual(desired, held.desired) ? held : changed(held, desired)
}

/** A guest that is about to be off gives back what one that is off does. */
function isToRestart({ carriedOut }: MachineRecord, { once, decision }: DesiredMachine): boolean {
  return once === 'Restart' && decision.id !== carriedOut
}

/** One that was to be started again, and was not yet, still has what that order left out. */
function disksHadBy(record: MachineRecord): DesiredMachine['disks'] {
  const { disks } = record.desired
  if (!isRestartDue(record)) return disks
  return [...disks, ...record.claims.filter(({ id }) => disks.every((disk) => disk.id !== id))]
}

/** The order for a guest that runs, with what it keeps: each disk that it has and that nobody asks back. */
export function keepDisks(had: DesiredMachine['disks'], desired: DesiredMachine): DesiredMachine {
  const { disks, detach = [], power } = desired
  if (power !== 'Running') return desired
  const named = new Set([...disks.map(({ id }) => id), ...detach])
  const kept = had.filter(({ id }) => !named.has(id))
  if (kept.length === 0) return desired
  if (disks.length + kept.length > MAX_DISKS) {
    const ids = kept.map(({ id }) => id).join(', ')
    throw new AgentError(
      'BAD_REQUEST',
      `the guest has disks that the order leaves out (${ids}): with them it has too many`,
    )
  }
  return { ...desired, disks: [...disks, ...kept] }
}

/** One that ended and was left off is started when it is to be restarted from now on. */
function changed({ ended, ...held }: MachineRecord, desired: DesiredMachine): MachineRecord {
  const isStillOver = desired.restart === held.desired.restart || desired.restart === 'Never'
  return { ...held, desired, ...(ended !== undefined && isStillOver && { ended }) }
}

/** The record of a machine that none is known of. What was decided before may have been known to one that was lost. */
function first(desired: DesiredMachine): MachineRecord {
  const record: MachineRecord = { version: 1, desired, claims: [], restarts: 0, failures: 0 }
  return desired.decision.follows.length === 0 ? record : { ...record, mayHoldOthers: true }
}

/** A new decision: what happened under the last one no longer counts. */
function afresh(held: MachineRecord, desired: DesiredMachine): MachineRecord {
  const { uid, machineType, launch, claims, slots, mayHoldOthers } = held
  return {
    version: 1,
    desired,
    claims,
    restarts: 0,
    failures: 0,
    ...(uid === undefined ? {} : { uid }),
    ...(machineType === undefined ? {} : { machineType }),
    ...(launch ? { launch } : {}),
    ...(mayHoldOthers ? { mayHoldOthers } : {}),
    ...(slots ? { slots } : {}),
  }
}

function stale({ desired }: MachineRecord, message: string): AgentError {
  const details: Claim = { machineId: desired.id, decision: { id: desired.decision.id, epoch: desired.decision.epoch } }
  return new AgentError('STALE_EPOCH', message, { details })
}
