import { setTimeout as sleep } from 'node:timers/promises'
import type { ObservedMachine } from '../../agent/contract.ts'
import { DataStorage } from '../../crds/data-storage.ts'
import { Host } from '../../crds/host.ts'
import type { Resource } from '../../crds/kind.ts'
import { VirtualMachine } from '../../crds/virtual-machine.ts'
import type { Kube } from '../../lib/kube/client.ts'
import { collectionPath, keyOf, type Endpoint } from '../../lib/kube/paths.ts'
import type { LocalControllers } from './controllers.ts'
import type { LocalHosts } from './hosts.ts'
import { findLeader, type Leader } from './leader.ts'
import { firstOf, type Shortening } from './shorten.ts'

const PATIENCE_MS = 120_000
/** What does not move for so long waits for somebody, and need not be waited for. */
const STUCK_MS = 15_000
const POLL_MS = 200
/** A list of ten thousand machines at once would hold up the server, and this process. */
const PAGE = 500

/** What the cluster holds of what a person would look at first. */
export interface Inventory {
  readonly hosts: readonly Host[]
  readonly storages: readonly DataStorage[]
  readonly machines: readonly VirtualMachine[]
}

interface Page<R extends Resource> {
  readonly items: readonly R[]
  /** Where the next one begins. */
  readonly metadata: { readonly continue?: string }
}

export async function takeInventory(kube: Pick<Kube, 'send'>): Promise<Inventory> {
  const list = async <R extends Resource>(kind: Endpoint) => {
    const items: R[] = []
    let next = ''
    do {
      const query = { limit: PAGE, ...(next !== '' && { continue: next }) }
      const { body } = await kube.send<Page<R>>({ method: 'GET', path: collectionPath(kind), query })
      items.push(...body.items)
      next = body.metadata.continue ?? ''
    } while (next !== '')
    return items
  }
  const [hosts, storages, machines] = await Promise.all([
    list<Host>(Host),
    list<DataStorage>(DataStorage),
    list<VirtualMachine>(VirtualMachine),
  ])
  return { hosts, storages, machines }
}

export interface Waiting {
  readonly kube: Pick<Kube, 'send'>
  readonly hosts: Pick<LocalHosts, 'machines' | 'ports'>
  readonly controllers: Pick<LocalControllers, 'has'>
  readonly say: (line: string) => void
  readonly signal: AbortSignal
}

/**
 * Waits until everything is Ready, or has been waited for long enough; says what it waits for. Until one of the
 * controllers leads, what is said to be Ready was so before they ended.
 */
export async function untilReady(waiting: Waiting): Promise<Inventory> {
  const { kube, hosts, say, signal } = waiting
  const deadline = performance.now() + PATIENCE_MS
  const first = await findLeader(kube)
  let told = ''
  let toldAt = performance.now()
  for (;;) {
    const startedAt = performance.now()
    const inventory = await takeInventory(kube)
    const observed = await hosts.machines()
    const here = inventory.machines.filter(({ status }) => hosts.ports.has(status?.host ?? ''))
    const pending = [
      ...(await nobodyLeads(waiting, first)),
      ...obstacles(inventory),
      ...(observed ? [...laggards(observed), ...outdated(here, observed)] : []),
    ]
    if (pending.length === 0 || signal.aborted) return inventory
    if (performance.now() > deadline || performance.now() - toldAt > STUCK_MS) {
      say(`not ready, and not waited for any longer: ${firstOf(pending).join('; ')}`)
      return inventory
    }
    const line = `waiting for ${pending[0]}${pending.length > 1 ? ` and ${pending.length - 1} more` : ''}`
    if (line !== told) {
      say(line)
      toldAt = performance.now()
    }
    told = line
    await sleep(Math.max(POLL_MS, performance.now() - startedAt)) // Of many, half the time at most is spent on looking.
  }
}

/** Who held the Lease before a reboot, or on a computer that is off, cannot be told from one who leads until it is renewed. */
async function nobodyLeads({ kube, controllers }: Waiting, first: Leader | undefined): Promise<string[]> {
  const leader = await findLeader(kube)
  const isLed = leader && (controllers.has(leader.holder) || leader.resourceVersion !== first?.resourceVersion)
  return isLed ? [] : ['a process of the controllers to lead']
}

function obstacles({ hosts, storages, machines }: Inventory): string[] {
  return [...hosts, ...storages, ...machines].flatMap((object) => {
    const why = whyNotReady(object)
    return why === undefined ? [] : [`${object.kind} ${keyOf(object.metadata)}${why === '' ? '' : `: ${why}`}`]
  })
}

function laggards(machines: readonly ObservedMachine[]): string[] {
  const late = machines.filter(({ power, state }) => power === 'Running' && state !== 'Running')
  return late.map(({ name, state }) => `VirtualMachine ${name}: it is ${state}`)
}

/** Machines that are said to run, and of which their host has nothing that runs: as after a restore, until somebody looks. */
export function outdated(machines: readonly VirtualMachine[], observed: readonly ObservedMachine[]): string[] {
  const running = new Set(observed.filter(({ state }) => state !== 'Stopped').map(({ id }) => id))
  return machines
    .filter(({ status }) => status?.printableStatus === 'Running' && !running.has(status.machineId ?? ''))
    .map(({ metadata }) => `VirtualMachine ${keyOf(metadata)}: it is said to run, and its host has no process of it`)
}

/** What keeps an object from being Ready, '' where nobody says; undefined when it is. */
export function whyNotReady({ metadata, status }: Resource): string | undefined {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')
  if (!ready) return ''
  const isCurrent = ready.observedGeneration === metadata.generation
  return isCurrent && ready.status === 'True' ? undefined : ready.message
}

/** A line for each object, of many only for the first: what is not Ready comes before what is. */
export function linesOf<R extends Resource>(
  objects: readonly R[],
  lineOf: (object: R) => string,
  shortening: Shortening,
): string[] {
  const isReady = (object: R) => whyNotReady(object) === undefined
  const ordered = [...objects.filter((object) => !isReady(object)), ...objects.filter(isReady)]
  return firstOf(ordered.map(lineOf), shortening)
}
