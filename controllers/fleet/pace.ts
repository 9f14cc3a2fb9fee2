import { Budgets } from '../../lib/budgets.ts'
import type { Clock } from '../../lib/clock.ts'
import type { FleetEvent } from './fleet-host.ts'

type MachineEvent = Extract<FleetEvent, { type: 'Machine' }>

interface PaceDeps {
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly onEvent: (event: MachineEvent) => void
}

/** A machine that starts, crashes and starts again has some news at once. */
const BURST = 20
const PACE_MS = 100

/**
 * Passes on what hosts tell of their machines: at once, or, of a machine that has news all the time, ten times a second
 * and the latest only. A host that is out of its mind takes no time from the others.
 */
export function paceMachines({ clock, signal, onEvent }: PaceDeps): (event: MachineEvent) => void {
  const budgets = new Budgets({ clock, burst: BURST, refillMs: PACE_MS })
  const held = new Map<string, MachineEvent>()

  const release = async (id: string, afterMs: number): Promise<void> => {
    await clock.sleep(afterMs, signal).catch(() => undefined) // Aborted: nobody wants to hear of it.
    const event = held.get(id)
    held.delete(id)
    if (!event || signal.aborted) return
    budgets.spend(id)
    onEvent(event)
  }

  return (event) => {
    const { id } = event.machine
    const waitMs = budgets.waitMs(id)
    if (held.has(id)) held.set(id, event)
    else if (waitMs === 0) {
      budgets.spend(id)
      onEvent(event)
    } else {
      held.set(id, event)
      void release(id, waitMs)
    }
  }
}
