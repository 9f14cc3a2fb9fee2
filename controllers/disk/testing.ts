import type { Condition } from '../../crds/common.ts'
import type { DataStorage } from '../../crds/data-storage.ts'
import type { Disk } from '../../crds/disk.ts'
import type { Image } from '../../crds/image.ts'
import { dataStorage, image } from '../../crds/testing/objects.ts'
import type { VirtualMachine } from '../../crds/virtual-machine.ts'
import type { Next } from '../../lib/reconcile/reconcile.ts'
import { newCandidates } from '../fleet/candidates.ts'
import { FakeStore } from '../fleet/fake-store.ts'
import { newLedger } from '../fleet/ledger.ts'
import { fakeFleet, fakeHost, type FakeHost } from '../fleet/testing.ts'
import { FakeBin } from '../recycle-bin/fake-bin.ts'
import { diskReconciler } from './reconciler.ts'

/** A cluster with one disk, one host and its storage, all in memory. */
export class World {
  readonly host: FakeHost = fakeHost('host-a')
  readonly hosts: FakeHost[] = [this.host]
  readonly images = new Map<string, Image>([['debian', image()]])
  readonly storages = new Map<string, DataStorage>([['local', dataStorage()]])
  /** Names of disks that were told to be made. */
  readonly made: string[] = []
  /** Disks besides the one of this world. */
  readonly others: Disk[] = []
  readonly adopters = new Map<string, string>()
  readonly seen = new Map<string, number>()
  readonly machines = new Map<string, VirtualMachine>()
  readonly ledger = newLedger()
  readonly recycled = new FakeBin()
  readonly store: FakeStore<Disk>

  constructor(disk: Disk) {
    this.store = new FakeStore(disk, (before, after) => this.ledger.diskChanged(before, after))
  }

  get stored(): Disk | undefined {
    return this.store.stored
  }

  reconcile(times = 1): Promise<Next> {
    return this.store.reconcile(this.#reconciler(), times)
  }

  settle(): Promise<Next> {
    return this.store.settle(this.#reconciler())
  }

  condition(type: string): Condition | undefined {
    return this.store.condition(type)
  }

  #reconciler() {
    const fleet = fakeFleet(...this.hosts)
    const candidates = newCandidates({
      fleet,
      ledger: this.ledger,
      hosts: () => [],
      storages: () => this.storages.values(),
      storage: (name) => this.storages.get(name),
      settings: () => undefined,
    })
    return diskReconciler({
      fleet,
      candidates,
      ledger: this.ledger,
      made: { note: ({ metadata }) => void this.made.push(metadata.name) },
      image: (_namespace, name) => this.images.get(name),
      machinesOf: (machineId) => [...this.machines.values()].filter(({ status }) => status?.machineId === machineId),
      virtualMachine: (_namespace, name) => this.machines.get(name),
      disksOfFile: (id) => this.others.filter(({ spec, status }) => (status?.id ?? spec.source?.existing?.id) === id),
      adopters: this.adopters,
      seen: this.seen,
      bin: this.recycled.bin,
    })
  }
}
