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
  const names = new IdsBy()
  /** The like, by the disks that they were ordered with. */
  const disks = new IdsBy()
  /** Revisions at which machines were seen to be absent. The oldest comes first. */
  const gone = new Map<string, number>()

  const forget = (id: string) => {
    const known = machines.get(id)
    if (!known) return
    machines.delete(id)
    names.remove(known.name, id)
    for (const disk of disksOf(known)) disks.remove(disk, id)
  }
  const keep = (machine: ObservedMachine) => {
    const { id, name } = machine
    const known = machines.get(id)
    if (known?.name !== name || !isDeepStrictEqual(disksOf(known), disksOf(machine))) {
      forget(id)
      names.add(name, id)
      for (const disk of disksOf(machine)) disks.add(disk, id)
    }
    machines.set(id, machine)
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
      const ids = names.of(name)
      // Every machine that is placed asks this of every host, and nearly none has one.
      return ids.length === 0 ? [] : ids.flatMap((id) => machines.get(id) ?? [])
    },
    holderOf: (disk) =>
      disks
        .of(disk)
        .flatMap((id) => machines.get(id) ?? [])
        .find((machine) => !isRefused(machine, disk)),
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
      disks.clear()
      gone.clear()
      for (const machine of all) keep(machine)
    },
  }
}

/** Those that it has yet to give back among them. */
function disksOf({ disks = [], pendingDisks = [] }: ObservedMachine): string[] {
  return [...new Set([...disks, ...pendingDisks].map(({ id }) => id))]
}

/** The host names the disk that it refused. Others the machine may have, of this decision or of an earlier one. */
function isRefused({ problem }: ObservedMachine, disk: string): boolean {
  return problem?.code === 'DISK_CLAIMED' && problem.message.includes(disk)
}

const NONE: readonly string[] = []

/** Ids of machines by something that they have. */
class IdsBy {
  readonly #ids = new Map<string, Set<string>>()

  of(key: string): readonly string[] {
    const found = this.#ids.get(key)
    return found ? [...found] : NONE
  }

  add(key: string, id: string): void {
    const found = this.#ids.get(key)
    if (found) found.add(id)
    else this.#ids.set(key, new Set([id]))
  }

  remove(key: string, id: string): void {
    const found = this.#ids.get(key)
    found?.delete(id)
    if (found?.size === 0) this.#ids.delete(key)
  }

  clear(): void {
    this.#ids.clear()
  }
}
