import { AgentError } from '../../agent/errors.ts'
import type { Condition } from '../../crds/common.ts'
import type { Disk } from '../../crds/disk.ts'
import type { Image } from '../../crds/image.ts'
import { disk, image, machine, newDisk } from '../../crds/testing/objects.ts'
import { diskNames, type VirtualMachine } from '../../crds/virtual-machine.ts'
import type { Next } from '../../lib/reconcile/reconcile.ts'
import { defaultPlacement, type StorageCandidate } from '../../policy/placement.ts'
import { FakeStore } from '../fleet/fake-store.ts'
import { newLedger } from '../fleet/ledger.ts'
import { fakeFleet, fakeHost, type FakeHost } from '../fleet/testing.ts'
import { FakeBin } from '../recycle-bin/fake-bin.ts'
import { newOrders } from './orders.ts'
import { virtualMachineReconciler } from './reconciler.ts'
import type { Deps } from './scope.ts'

const GI = 2 ** 30

/** A cluster with one machine, one host and its storage, all in memory. The clock stands still until it is moved. */
export class World {
  readonly host: FakeHost = fakeHost('host-a')
  readonly hosts: FakeHost[] = [this.host]
  readonly images = new Map<string, Image>([['debian', image()]])
  readonly disks = new Map<string, Disk>()
  /** Machines besides the one of this world. */
  readonly others = new Map<string, VirtualMachine>()
  readonly store: FakeStore<VirtualMachine>
  /** Memory of the host that is left for one machine. */
  hostMemoryBytes = 32 * GI
  /** Thrown by the next attachments of disks, until it is taken away. */
  attachmentFault: Error | undefined
  /** Of another host, and roomier than the one of ours. */
  foreignStorage: StorageCandidate | undefined
  /** The host does what it is told, but nobody hears of it. */
  lostAnswers = false
  #ledger = newLedger()
  /** States of the machine that were told of as answers. */
  readonly told: string[] = []
  readonly made = new Set<string>()
  readonly recycled = new FakeBin()
  /** Thrown instead of making a Disk, until it is taken away. */
  creationFault: Error | undefined
  #deps: Deps

  constructor(vm: VirtualMachine) {
    this.store = new FakeStore(vm, (before, after) => this.#ledger.machineChanged(before, after))
    this.#deps = this.#newDeps()
  }

  get stored(): VirtualMachine | undefined {
    return this.store.stored
  }

  get writes(): number {
    return this.store.writes
  }

  get events(): readonly string[] {
    return this.store.events
  }

  /** A controller that starts anew forgets all that it kept in memory. */
  restart(): void {
    this.#ledger = newLedger()
    this.#ledger.machineChanged(undefined, this.stored)
    this.#deps = this.#newDeps()
  }

  reconcile(times = 1): Promise<Next> {
    return this.store.reconcile(virtualMachineReconciler(this.#deps), times)
  }

  /** Reconciles until a wait is old enough to be told. */
  settle(): Promise<Next> {
    return this.store.settle(virtualMachineReconciler(this.#deps))
  }

  condition(wanted: string): Condition | undefined {
    return this.store.condition(wanted)
  }

  /** The disk controller's part: a disk that was created becomes ready. */
  finishDisk(name: string): void {
    const made = this.disks.get(name)
    if (made) made.status = { ...disk(name).status, ...made.status }
  }

  unplug(): void {
    this.host.state = 'Unreachable'
    this.host.fault = new AgentError('UNREACHABLE', 'no answer')
  }

  #newDeps(): Deps {
    let [ids, macs] = [0, 0]
    return {
      fleet: fakeFleet(...this.hosts),
      ledger: this.#ledger,
      orders: newOrders(undefined, this.store.now()),
      bin: this.recycled.bin,
      candidates: {
        hosts: () => [
          {
            name: 'host-a',
            labels: {},
            cpus: 8,
            memoryBytes: this.hostMemoryBytes,
            placed: this.#ledger.hostUse('host-a'),
          },
        ],
        storages: () => [
          {
            name: 'local',
            host: 'host-a',
            capacityBytes: 100 * GI,
            availableBytes: 90 * GI,
            provisionedBytes: this.#ledger.storageUse('local'),
          },
          ...(this.foreignStorage ? [this.foreignStorage] : []),
        ],
        storage: () => undefined,
        settings: () => defaultPlacement,
      },
      image: (_namespace, name) => this.images.get(name),
      virtualMachine: (_namespace, name) => (name === 'web' ? this.stored : this.others.get(name)),
      machinesOf: (id) =>
        [...(this.stored ? [this.stored] : []), ...this.others.values()].filter(
          ({ status }) => status?.machineId === id,
        ),
      ...this.#diskAccess(),
      newId: () => `00000000-0000-4000-8000-${String(++ids).padStart(12, '0')}`,
      now: () => this.store.now(),
      tellAnswer: ({ state }) => void this.told.push(state),
      isMade: ({ metadata }) => this.made.has(metadata.name),
      newMac: () => `02:00:00:00:00:0${++macs}`,
    }
  }

  #diskAccess(): Pick<
    Deps,
    | 'disk'
    | 'usersOf'
    | 'disksOf'
    | 'disksOfFile'
    | 'attachedTo'
    | 'createDisk'
    | 'readDisk'
    | 'deleteDisk'
    | 'setAttachment'
  > {
    const all = () => [...this.disks.values()]
    return {
      disk: (_namespace, name) => this.disks.get(name),
      usersOf: (_namespace, used) =>
        [...(this.stored ? [this.stored] : []), ...this.others.values()].filter((vm) => diskNames(vm).includes(used)),
      disksOf: (id) => all().filter(({ metadata: { labels } }) => Object.values(labels ?? {}).includes(id)),
      // As the index does, which has those that only ask for the file too.
      disksOfFile: (id) =>
        all().filter(({ metadata, spec, status }) => (status?.id ?? spec.source?.existing?.id ?? metadata.uid) === id),
      attachedTo: (id) => all().filter(({ status }) => status?.attachedTo?.machineId === id),
      createDisk: async ({ metadata, spec }) => {
        if (this.creationFault) throw this.creationFault
        const made = newDisk(spec, metadata)
        this.disks.set(metadata.name, made)
        return made
      },
      readDisk: async ({ metadata: { name } }) => this.disks.get(name),
      deleteDisk: async ({ metadata: { name } }) => void this.disks.delete(name),
      setAttachment: async (target, attachedTo) => {
        if (this.attachmentFault) throw this.attachmentFault
        const { attachedTo: _, ...rest } = target.status ?? {}
        target.status = attachedTo ? { ...rest, attachedTo } : rest
        return target
      },
    }
  }
}

/** A world whose machine runs and is Ready. */
export async function running(spec: Parameters<typeof machine>[0] = {}): Promise<World> {
  const world = new World(machine(spec))
  await world.reconcile()
  world.finishDisk('web-root')
  await world.reconcile()
  return world
}
