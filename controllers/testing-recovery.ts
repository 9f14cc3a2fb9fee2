import type { ObjectMeta } from '../crds/common.ts'
import type { Disk } from '../crds/disk.ts'
import type { Resource } from '../crds/kind.ts'
import { originOf, RECOVERED_FROM_ANNOTATION, type RecycledResource } from '../crds/recycled-resource.ts'
import { dataStorage, host, image, machine, meta, newDisk } from '../crds/testing/objects.ts'
import { diskNames, type VirtualMachine } from '../crds/virtual-machine.ts'
import { wasTakenAlong } from '../policy/recovery.ts'
import type { Next, Reconciler } from '../lib/reconcile/reconcile.ts'
import { diskReconciler } from './disk/reconciler.ts'
import { newCandidates } from './fleet/candidates.ts'
import { FakeStore } from './fleet/fake-store.ts'
import { newLedger } from './fleet/ledger.ts'
import { fakeFleet, fakeHost, type FakeHost } from './fleet/testing.ts'
import { FakeBin } from './recycle-bin/fake-bin.ts'
import { recycledResourceReconciler } from './recycled-resource/reconciler.ts'
import type { Creation, Deps, Found, Manifest, Place } from './recycled-resource/scope.ts'
import { newOrders } from './virtual-machine/orders.ts'
import { virtualMachineReconciler } from './virtual-machine/reconciler.ts'

export const MACHINE_ID = '11111111-1111-4111-8111-111111111111'
export const FILE = '22222222-2222-4222-8222-222222222222'
export const MAC = '02:aa:aa:aa:aa:aa'
const DECISION = { id: '33333333-3333-4333-8333-333333333333', epoch: 7 }
const TIME = '2026-01-01T00:00:00Z'

/**
 * VirtualMachine shop/web is in the recycle bin with its root disk on host-a. Its entry, what comes from it, and the
 * controllers of all three kinds, over one cluster in memory.
 */
export class RecoveryWorld {
  readonly agent: FakeHost = fakeHost('host-a')
  readonly recycled = new FakeBin()
  readonly machines = new Map<string, FakeStore<VirtualMachine>>()
  readonly disks = new Map<string, FakeStore<Disk>>()
  readonly entry: FakeStore<RecycledResource>
  /** Called before and after each request to the API server; what it throws is thrown. */
  fault: (what: string) => void = () => undefined
  namespace: 'Active' | 'Terminating' = 'Active'
  /** Why the API server takes no machine. */
  refusal: string | undefined
  /** Disks that were made empty, or from an image. */
  freshDisks = 0
  readonly #ledger = newLedger()
  readonly #fleet = fakeFleet(this.agent)
  readonly #candidates = newCandidates({
    fleet: this.#fleet,
    ledger: this.#ledger,
    hosts: () => [host()],
    storages: () => [dataStorage()],
    storage: (name) => (name === 'local' ? dataStorage() : undefined),
    settings: () => undefined,
  })
  readonly #reconcilers = {
    machine: virtualMachineReconciler(this.#machineDeps()),
    disk: diskReconciler(this.#diskDeps()),
    entry: recycledResourceReconciler(this.#entryDeps()),
  }
  #ids = 0

  constructor(contents: Partial<NonNullable<RecycledResource['spec']['contents']>> = rootDiskOfWeb()) {
    this.agent.disks.set(FILE, 2 * 2 ** 30)
    const vm = machine()
    const stamped = this.recycled.stamp(vm)
    const manifest = { metadata: { name: 'web' }, spec: { ...vm.spec } }
    this.recycled.entries.clear()
    this.entry = new FakeStore<RecycledResource>(
      { ...stamped, spec: { ...stamped.spec, contents: { manifest, ...contents } }, status: { phase: 'Binned' } },
      (before, after) => {
        if (before) this.recycled.entries.delete(before.metadata.name)
        if (after) this.recycled.entries.set(after.metadata.name, after)
      },
    )
    this.entry.fault = (what) => this.fault(`${what} entry`)
    this.recycled.fault = (what) => this.fault(what)
  }

  /** Makes a machine whose manifest asked for the entry, as admission lets it through. */
  claim(spec: Partial<VirtualMachine['spec']> = {}, metadata: Partial<ObjectMeta> = {}): FakeStore<VirtualMachine> {
    const origin = { [RECOVERED_FROM_ANNOTATION]: this.entry.stored?.metadata.name ?? metadata.uid ?? '' }
    const uid = '44444444-4444-4444-8444-444444444444'
    return this.#putMachine(machine(spec, { uid, annotations: origin, ...metadata }))
  }

  /** Makes Disks. */
  make(...disks: Disk[]): void {
    for (const disk of disks) this.#putDisk(disk)
  }

  /** Deletes it as a person does: admission writes that down, and the API server marks it. */
  delete(store: FakeStore<VirtualMachine> | FakeStore<Disk>): void {
    const { stored } = store
    if (!stored || stored.metadata.deletionTimestamp !== undefined) return
    this.recycled.stamp(stored)
    store.change(({ metadata }: Resource) => void (metadata.deletionTimestamp = TIME))
  }

  /** Every controller looks at everything, as often. What fails is tried again the next time. */
  async rounds(times: number): Promise<void> {
    for (let i = 0; i < times; i++) {
      await this.look(this.entry, this.#reconcilers.entry)
      for (const store of this.disks.values()) await this.look(store, this.#reconcilers.disk)
      for (const store of this.machines.values()) await this.look(store, this.#reconcilers.machine)
    }
  }

  /** Until a wait is old enough to be told. */
  async settle(): Promise<void> {
    await this.rounds(4)
    for (const store of [this.entry, ...this.disks.values(), ...this.machines.values()]) store.nowMs += 2_000
    await this.rounds(2)
  }

  async look<R extends Resource, S>(store: FakeStore<R>, reconciler: Reconciler<R, S>): Promise<Next> {
    return store.stored ? store.reconcile(reconciler).catch(() => ({})) : {}
  }

  #putMachine(vm: VirtualMachine): FakeStore<VirtualMachine> {
    const store = new FakeStore(vm, (before, after) => {
      this.#ledger.machineChanged(before, after)
      if (!after) this.machines.delete(vm.metadata.name)
    })
    store.fault = (what) => this.fault(`${what} machine`)
    this.machines.set(vm.metadata.name, store)
    return store
  }

  #putDisk(disk: Disk): FakeStore<Disk> {
    const store = new FakeStore(disk, (before, after) => {
      this.#ledger.diskChanged(before, after)
      if (!after) this.disks.delete(disk.metadata.name)
    })
    store.fault = (what) => this.fault(`${what} disk`)
    this.disks.set(disk.metadata.name, store)
    return store
  }

  #allDisks(): Disk[] {
    return [...this.disks.values()].flatMap(({ stored }) => stored ?? [])
  }

  #allMachines(): VirtualMachine[] {
    return [...this.machines.values()].flatMap(({ stored }) => stored ?? [])
  }

  #request<T>(what: string, act: () => T): T {
    this.fault(`before ${what}`)
    const result = act()
    this.fault(`after ${what}`)
    return result
  }

  #machineDeps(): Parameters<typeof virtualMachineReconciler>[0] {
    const disk = (name: string) => this.disks.get(name)?.stored
    return {
      fleet: this.#fleet,
      candidates: this.#candidates,
      ledger: this.#ledger,
      orders: newOrders(),
      bin: this.recycled.bin,
      image: () => image(),
      virtualMachine: (_namespace, name) => this.machines.get(name)?.stored,
      machinesOf: (id) => this.#allMachines().filter(({ status }) => status?.machineId === id),
      disk: (_namespace, name) => disk(name),
      usersOf: (_namespace, name) => this.#allMachines().filter((vm) => diskNames(vm).includes(name)),
      disksOf: (id) => this.#allDisks().filter(({ metadata }) => Object.values(metadata.labels ?? {}).includes(id)),
      disksOfFile: () => [],
      attachedTo: (id) => this.#allDisks().filter(({ status }) => status?.attachedTo?.machineId === id),
      createDisk: async ({ metadata, spec }) => {
        this.freshDisks++
        return this.#request('create disk', () => this.#putDisk(newDisk(spec, metadata)).stored ?? newDisk())
      },
      readDisk: async ({ metadata: { name } }) => disk(name),
      deleteDisk: async ({ metadata: { name } }) => {
        const store = this.disks.get(name)
        if (store) this.delete(store)
      },
      setAttachment: async (one, attachedTo) => this.#request('attach', () => this.#attach(one, attachedTo)),
      newId: () => `00000000-0000-4000-8000-${String(++this.#ids).padStart(12, '0')}`,
      isMade: () => false,
      tellAnswer: () => undefined,
      now: () => new Date(TIME),
      newMac: () => '02:00:00:00:00:01',
    }
  }

  #attach(disk: Disk, attachedTo: NonNullable<Disk['status']>['attachedTo']): Disk {
    const store = this.disks.get(disk.metadata.name)
    store?.change((one) => {
      const { attachedTo: _, ...rest } = one.status ?? {}
      one.status = { ...rest, ...(attachedTo && { attachedTo }) }
    })
    return store?.stored ?? disk
  }

  #diskDeps(): Parameters<typeof diskReconciler>[0] {
    return {
      fleet: this.#fleet,
      candidates: this.#candidates,
      ledger: this.#ledger,
      made: { note: () => undefined },
      image: () => image(),
      virtualMachine: (_namespace, name) => this.machines.get(name)?.stored,
      disksOfFile: (id) => this.#allDisks().filter(({ status }) => status?.id === id),
      adopters: new Map(),
      machinesOf: (id) => this.#allMachines().filter(({ status }) => status?.machineId === id),
      seen: new Map(),
      bin: this.recycled.bin,
    }
  }

  #entryDeps(): Deps {
    const found = ({ kind, name }: Place): Found | undefined =>
      (kind === 'Disk' ? this.disks : this.machines).get(name)?.stored
    return {
      fleet: this.#fleet,
      bin: {
        fill: this.recycled.bin.fill,
        ofDownload: () => [],
        ofFile: this.recycled.bin.ofFile,
        remove: async () => this.#request('remove entry', () => this.entry.put(undefined)),
      },
      now: () => this.entry.now(),
      seen: found,
      read: async (place) => structuredClone(found(place)),
      makeNamespace: async () => this.namespace,
      create: async (place, manifest, entry) => this.#request('make', () => this.#make(place, manifest, entry)),
      tryOut: async (place, _manifest, entry) =>
        this.#request('try out', () => {
          if (this.refusal !== undefined) return { type: 'refused', message: this.refusal }
          const object = found(place) ?? {
            metadata: meta(place.name, { annotations: { [RECOVERED_FROM_ANNOTATION]: entry } }),
          }
          return originOf(object.metadata) === entry ? { type: 'made', object } : { type: 'taken' }
        }),
      disown: async () => this.#request('disown', () => undefined),
      claimants: ({ metadata: { name } }) =>
        this.#allMachines()
          .filter(({ metadata }) => originOf(metadata) === name && metadata.deletionTimestamp === undefined)
          .map(({ metadata }) => ({ kind: 'VirtualMachine', namespace: 'shop', name: metadata.name })),
      isAwaited: (entry) =>
        this.#allDisks().some((one) => originOf(one.metadata) === entry.metadata.name && wasTakenAlong(entry, one)),
      disksOfFile: (id) => this.#allDisks().filter(({ status }) => status?.id === id),
      downloadedAs: () => [],
      emit: () => undefined,
    }
  }

  #make({ kind, namespace, name }: Place, manifest: Manifest, entry: string): Creation {
    const labels = { ...manifest.metadata.labels }
    const annotations = { ...manifest.metadata.annotations, [RECOVERED_FROM_ANNOTATION]: entry }
    const { uid: _, ...metadata } = meta(name, { namespace, labels, annotations })
    const uid = `5${String(++this.#ids).padStart(7, '0')}-5555-4555-8555-555555555555`
    const object =
      kind === 'Disk'
        ? this.#putDisk(newDisk(manifest.spec, { ...metadata, uid })).stored
        : this.#putMachine(machine(manifest.spec, { ...metadata, uid })).stored
    return object ? { type: 'made', object } : { type: 'taken' }
  }
}

/** What is in the entry of a machine with its root disk. */
export function rootDiskOfWeb(): NonNullable<RecycledResource['spec']['contents']> {
  const label = { 'compute.holdfast.dev/machine-id': MACHINE_ID }
  const spec = { size: '2Gi', dataStorage: 'local', source: { image: { name: 'debian' } } }
  const { uid } = meta('web-root')
  const manifest = { metadata: { name: 'web-root', labels: label }, spec }
  return {
    manifest: { metadata: { name: 'web' }, spec: { ...machine().spec } },
    machineId: MACHINE_ID,
    host: 'host-a',
    decision: DECISION,
    disks: [{ name: 'web-root', uid, id: FILE, dataStorage: 'local', size: '2Gi', manifest }],
    addresses: [{ mac: MAC }],
  }
}
