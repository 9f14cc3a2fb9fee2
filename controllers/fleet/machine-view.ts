import type { ObservedMachine } from '../../agent/contract.ts'
import type { MachineView } from './fleet-host.ts'

/** A view that the connection to the host can also replace, when a new session has told everything anew. */
export interface ReplaceableView extends MachineView {
  replace(machines: Iterable<ObservedMachine>): void
}

/** A view of no machines. */
export function newMachineView(): ReplaceableView {
  const machines = new Map<string, ObservedMachine>()
  return {
    get: (id) => machines.get(id),
    note(machine) {
      const known = machines.get(machine.id)
      if (known && known.revision > machine.revision) return
      if (machine.state === 'Absent') machines.delete(machine.id)
      else machines.set(machine.id, machine)
    },
    replace(all) {
      machines.clear()
      for (const machine of all) machines.set(machine.id, machine)
    },
  }
}
