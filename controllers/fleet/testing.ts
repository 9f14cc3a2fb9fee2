import type {
  DesiredDisk,
  DesiredImage,
  DesiredMachine,
  HostAgent,
  InspectedImage,
  ObservedDisk,
  ObservedHost,
  ObservedMachine,
  ObservedStorage,
} from '../../agent/contract.ts'
import { AgentError } from '../../agent/errors.ts'
import type { FleetHost } from './fleet-host.ts'
import type { Fleet } from './fleet.ts'
import { newMachineView } from './machine-view.ts'

export interface FakeHost extends FleetHost {
  state: FleetHost['state']
  session: number
  /** Answered with every machine from now on. */
  pendingRestart: string[]
  /** What processes have, where that is not what was ordered. */
  has: { readonly cpus: number; readonly memoryBytes: number } | undefined
  /** The like. */
  pendingDisks: NonNullable<ObservedMachine['pendingDisks']>
  /** Every order that was accepted, oldest first. */
  readonly orders: DesiredMachine[]
  /** Sizes in bytes, by id. */
  readonly disks: Map<string, number>
  /** Disks that QEMU has open: they grow when it has closed them. */
  readonly open: Set<string>
  /** Disks that were asked for so far only begin to be made. */
  slow: boolean
  /** Questions and orders that came, whatever became of them. */
  asked: number
  /** Thrown by the next calls, until it is taken away. */
  fault: AgentError | undefined
  image: InspectedImage
  /** Orders to download, by digest, the latest. */
  readonly downloads: Map<string, DesiredImage>
  storage: Omit<ObservedStorage, 'name'>
}

const GI = 2 ** 30

/** A host of 8 CPUs and 32 GiB that obeys at once. */
export function fakeHost(name: string): FakeHost {
  const host: FakeHost = {
    name,
    agent: fakeAgent(() => host),
    state: 'Connected',
    observed: observedHost(name),
    session: 1,
    machines: newMachineView(),
    orders: [],
    disks: new Map(),
    open: new Set(),
    slow: false,
    asked: 0,
    pendingRestart: [],
    has: undefined,
    pendingDisks: [],
    fault: undefined,
    downloads: new Map(),
    image: { state: 'Verified', sha256: 'a'.repeat(64), sizeBytes: 10 * 2 ** 20, virtualSizeBytes: 64 * 2 ** 20 },
    storage: { capacityBytes: 100 * GI, availableBytes: 90 * GI },
  }
  return host
}

function fakeAgent(host: () => FakeHost): HostAgent {
  const answer = async <T>(make: (host: FakeHost) => T): Promise<T> => {
    host().asked++
    const { fault } = host()
    if (fault) throw fault
    return make(host())
  }
  return {
    host: () => answer(({ name }) => observedHost(name)),
    machines: () => answer(() => []),
    putMachine: (machine) => answer((to) => obey(to, machine)),
    putStorage: ({ name }) => answer(({ storage }) => ({ name, ...storage })),
    putDisk: (order) => answer((to) => makeDisk(to, order)),
    deleteDisk: (_storage, id) => answer(({ disks }) => void disks.delete(id)),
    inspectImage: ({ maxBytes = Infinity }) => answer(({ image }) => withinLimit(image, maxBytes)),
    putImage: (order) => answer((to) => download(to, order)),
    deleteImage: (sha256) => answer(({ downloads }) => void downloads.delete(sha256)),
    stopGuests: () => answer(() => undefined),
    events: () => {
      throw new Error('a fake host has no events: change it and reconcile')
    },
  }
}

function download({ image, downloads }: FakeHost, order: DesiredImage): InspectedImage {
  downloads.set(order.sha256, order)
  return image
}

function makeDisk({ disks, open, slow }: FakeHost, { id, storage, sizeBytes, mustExist }: DesiredDisk): ObservedDisk {
  const there = disks.get(id)
  if (there === undefined && mustExist) throw new AgentError('DISK_NOT_FOUND', `There is no disk ${id}: restore it`)
  if (there === undefined && slow) return { id, storage, state: 'Creating', sizeBytes }
  if (there !== undefined && open.has(id)) return { id, storage, state: 'Growing', sizeBytes: there }
  const size = Math.max(sizeBytes, there ?? 0)
  disks.set(id, size)
  return { id, storage, state: 'Ready', sizeBytes: size }
}

/** What an agent of that name answers. */
export function observedHost(name: string): ObservedHost {
  return {
    name,
    contractVersions: [1],
    agentVersion: '0.0.0',
    bootId: 'b-1',
    cpus: 8,
    memoryBytes: 32 * GI,
    accelerator: 'TCG',
    acceleratorReason: 'the CPU offers neither vmx nor svm',
    imageSandbox: 'Bubblewrap',
    qemuVersion: '7.2.0',
  }
}

function obey(
  { machines, orders, pendingRestart, pendingDisks, has }: FakeHost,
  machine: DesiredMachine,
): ObservedMachine {
  const { id, name, decision, power } = machine
  const held = machines.get(id)
  if (held && held.decision.epoch > decision.epoch) {
    throw new AgentError('STALE_EPOCH', 'older order', { details: { machineId: id, decision: held.decision } })
  }
  orders.push(machine)
  const observed: ObservedMachine = {
    id,
    name,
    decision: { id: decision.id, epoch: decision.epoch },
    power,
    state: power,
    disks: [...machine.disks, ...keptDisks(held, machine)],
    ...(has ?? { cpus: machine.cpus, memoryBytes: machine.memoryBytes }),
    pendingRestart,
    ...(pendingDisks.length > 0 && { pendingDisks }),
    restarts: 0,
    revision: orders.length,
  }
  machines.note(observed)
  return observed
}

/** What a guest that runs has and is not asked back: it keeps that. */
function keptDisks(held: ObservedMachine | undefined, { power, disks, detach = [] }: DesiredMachine) {
  if (power !== 'Running' || held?.state !== 'Running') return []
  const named = new Set([...disks.map(({ id }) => id), ...detach])
  return (held.disks ?? []).filter(({ id }) => !named.has(id))
}

/** A fleet of exactly these hosts. */
export function fakeFleet(...hosts: FakeHost[]): Fleet {
  return {
    get: (name) => hosts.find((host) => host.name === name),
    all: () => hosts,
    put: () => undefined,
    remove: () => undefined,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

/** A machine as its host tells of it, by a number. */
export function guest(number: number, change: Partial<ObservedMachine> = {}): ObservedMachine {
  const digits = String(number).padStart(12, '0')
  return {
    id: `00000000-0000-4000-8000-${digits}`,
    name: `default/vm-${String(number).padStart(4, '0')}`,
    decision: { id: `00000000-0000-4000-9000-${digits}`, epoch: 1 },
    power: 'Running',
    state: 'Running',
    pendingRestart: [],
    restarts: 0,
    revision: 1,
    ...change,
  }
}

function withinLimit(image: InspectedImage, maxBytes: number): InspectedImage {
  if (image.state !== 'Verified' || image.sizeBytes <= maxBytes) return image
  return { state: 'Refused', code: 'ImageTooLarge', message: 'The file is too large' }
}
