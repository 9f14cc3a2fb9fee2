import { isDeepStrictEqual } from 'node:util'
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
  /** Ids by name. */
  const names = new Map<string, Set<string>>()
  /** Revisions at which machines were seen to be absent. The oldest comes first. */
  const gone = new Map<string, number>()

  const forget = (id: string) => {
    const { name = '' } = machines.get(id) ?? {}
    machines.delete(id)
    names.get(name)?.delete(id)
    if (names.get(name)?.size === 0) names.delete(name)
  }
  const keep = (machine: ObservedMachine) => {
    const { id, name } = machine
    if (machines.get(id)?.name !== name) forget(id)
    machines.set(id, machine)
    names.set(name, (names.get(name) ?? new Set()).add(id))
  }
  const bury = ({ id, revision }: ObservedMachine) => {
    forget(id)
    gone.delete(id)
    gone.set(id, revision)
    const [oldest] = gone.keys()
    if (gone.size > MAX_REMEMBERED && oldest !== undefined) gone.delete(oldest)
  }

  return {
    get: (id) => machines.get(id),
    all: () => machines.values(),
    named(name) {
      const ids = names.get(name)
      // Every machine that is placed asks this of every host, and nearly none has one.
      return ids ? [...ids].flatMap((id) => machines.get(id) ?? []) : []
    },
    note(machine) {
      const before = machines.get(machine.id)
      const known = before?.revision ?? gone.get(machine.id) ?? 0
      if (known > machine.revision) return false
      if (machine.state === 'Absent') bury(machine)
      else keep(machine)
      return before === undefined || !isDeepStrictEqual({ ...before, revision: machine.revision }, machine)
    },
    replace(all) {
      machines.clear()
      names.clear()
      gone.clear()
      for (const machine of all) keep(machine)
    },
  }
}
