import type { ObservedMachine } from '../../agent/contract.ts'
import type { MachineView } from './fleet-host.ts'

/** A view that the connection to the host can also replace, when a new session has told everything anew. */
export interface ReplaceableView extends MachineView {
  replace(machines: Iterable<ObservedMachine>): void
}

/** An answer and an event overtake each other by moments; this many machines take longer to go. */
const MAX_REMEMBERED = 1_000

/** A view of no machines. */
export function newMachineView(): ReplaceableView {
  const machines = new Map<string, ObservedMachine>()
  /** Revisions at which machines were seen to be absent. The oldest comes first. */
  const gone = new Map<string, number>()

  const bury = ({ id, revision }: ObservedMachine) => {
    machines.delete(id)
    gone.delete(id)
    gone.set(id, revision)
    const [oldest] = gone.keys()
    if (gone.size > MAX_REMEMBERED && oldest !== undefined) gone.delete(oldest)
  }

  return {
    get: (id) => machines.get(id),
    all: () => machines.values(),
    note(machine) {
      const known = machines.get(machine.id)?.revision ?? gone.get(machine.id) ?? 0
      if (known > machine.revision) return
      if (machine.state === 'Absent') bury(machine)
      else machines.set(machine.id, machine)
    },
    replace(all) {
      machines.clear()
      gone.clear()
      for (const machine of all) machines.set(machine.id, machine)
    },
  }
}
