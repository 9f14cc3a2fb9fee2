import type { ObservedMachine } from '../../../agent/contract.ts'
import { HostCondition, HostReason, MAX_ORPHANS, type Host, type Orphan } from '../../../crds/host.ts'
import type { News } from '../../../lib/reconcile/conditions.ts'
import { done, doneFor, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { toQuantity } from '../../../policy/quantity.ts'
import type { Deps, Scope } from '../scope.ts'

/**
 * How long a machine must be without an owner before that is told. Its host can know a machine some moments before the
 * watch tells a leader that has just begun which VirtualMachine it belongs to.
 */
const UNOWNED_MS = 10_000
/** What a person reads of one by one. The rest is in the list. */
const MAX_EVENTS = 5

/** Lists the machines of the host that no VirtualMachine stands for. Nothing is done to them. */
export const listOrphans: Phase<Scope> = {
  condition: HostCondition.MachinesOwned,
  after: [HostCondition.Connected],
  informs: true,

  run({ host, status, deps }) {
    const before = new Map((status.orphans ?? []).map((orphan) => [orphan.machineId, orphan]))
    const { orphans, nextMs } = findOrphans(host, before, deps)
    const listed = orphans.slice(0, MAX_ORPHANS)
    for (const item of news(host, [...before.values()], orphans, deps)) deps.emit(host, item)
    status.orphanCount = orphans.length
    if (orphans.length === 0) delete status.orphans
    else status.orphans = listed
    return toOutcome(orphans.length, nextMs)
  },
}

interface Found {
  readonly orphans: Orphan[]
  /** When the next machine will have been without an owner for long enough. */
  readonly nextMs?: number
}

function findOrphans(host: Host, before: ReadonlyMap<string, Orphan>, deps: Deps): Found {
  const { name } = host.metadata
  const now = deps.clock.monotonicMs()
  const seen = deps.unowned.get(name)
  const since = new Map<string, number>()
  const orphans: Orphan[] = []
  for (const machine of withoutOwner(name, deps)) {
    const known = before.get(machine.id)
    const from = known ? -Infinity : (seen?.get(machine.id) ?? now)
    since.set(machine.id, from)
    if (now - from >= UNOWNED_MS) orphans.push(toOrphan(machine, known, deps.clock.now()))
  }
  deps.unowned.set(name, since)
  const waits = [...since.values()].map((from) => from + UNOWNED_MS - now).filter((ms) => ms > 0)
  return { orphans: orphans.toSorted(byName), ...(waits.length > 0 && { nextMs: Math.min(...waits) }) }
}

function withoutOwner(host: string, { fleet, isOwned }: Deps): ObservedMachine[] {
  const machines = [...(fleet.get(host)?.machines.all() ?? [])]
  return machines.filter((machine) => !isEnding(machine) && !isOwned(machine, host))
}

/** Whether it was ordered to go: its VirtualMachine can be gone a moment before it is. */
function isEnding({ power, state }: ObservedMachine): boolean {
  return power === 'Absent' || state === 'Absent'
}

function toOrphan(machine: ObservedMachine, known: Orphan | undefined, now: Date): Orphan {
  const { id, name, state, disks, cpus, memoryBytes } = machine
  const since = known?.since ?? now.toISOString().replace(/\.\d+Z$/, 'Z')
  return {
    name,
    machineId: id,
    state: state === 'Absent' ? 'Stopped' : state,
    ...(disks && { disks: disks.map((disk) => ({ id: disk.id, dataStorage: disk.storage })) }),
    ...(cpus !== undefined && { cpus }),
    ...(memoryBytes !== undefined && { memory: toQuantity(memoryBytes) }),
    since,
  }
}

function byName(a: Orphan, b: Orphan): number {
  if (a.name === b.name) return a.machineId < b.machineId ? -1 : 1
  return a.name < b.name ? -1 : 1
}

/** What changed since the list was last stored. Told before the list is: what is told twice has one name and is one event. */
function news({ metadata }: Host, before: readonly Orphan[], orphans: readonly Orphan[], deps: Deps): News[] {
  const [was, is] = [before, orphans].map((list) => new Set(list.map(({ machineId }) => machineId)))
  const listed = orphans.slice(0, MAX_ORPHANS)
  const found = listed.filter(({ machineId }) => !was?.has(machineId)).map(foundNews)
  const left = before
    .filter(({ machineId }) => !is?.has(machineId))
    .map((orphan) => leftNews(orphan, deps.isOwned({ id: orphan.machineId, name: orphan.name }, metadata.name)))
  return [...bounded(found, HostReason.OrphansFound), ...left.slice(0, MAX_EVENTS)]
}

function bounded(all: readonly News[], reason: string): News[] {
  if (all.length <= MAX_EVENTS) return [...all]
  const message = `${all.length - MAX_EVENTS} more guests are here without a VirtualMachine: see status.orphans`
  return [...all.slice(0, MAX_EVENTS), { type: 'Warning', reason, message }]
}

function foundNews({ name, machineId }: Orphan): News {
  const message = `Guest ${name} (machine ${machineId}) is here without a VirtualMachine, and is left as it is: apply a VirtualMachine of this name with spec.adopt.machineId to have it back, or to delete it then`
  return { type: 'Warning', reason: 'OrphanFound', message }
}

function leftNews({ name, machineId }: Orphan, isOwned: boolean): News {
  return isOwned
    ? { type: 'Normal', reason: 'OrphanAdopted', message: `Guest ${name} (machine ${machineId}) has a VirtualMachine` }
    : { type: 'Normal', reason: 'OrphanGone', message: `Guest ${name} (machine ${machineId}) is here no more` }
}

function toOutcome(count: number, nextMs: number | undefined): Outcome {
  if (count === 0) return nextMs === undefined ? done : doneFor(nextMs)
  const which = count === 1 ? 'One machine is here' : `${count} machines are here`
  const message = `${which} without a VirtualMachine: adopt what is in status.orphans, each with spec.adopt`
  return waiting(HostReason.OrphansFound, message, nextMs)
}
