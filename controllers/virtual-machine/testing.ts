import { AgentError } from '../../agent/errors.ts'
import type { Condition } from '../../crds/common.ts'
import type { Disk } from '../../crds/disk.ts'
import type { Image } from '../../crds/image.ts'
import { VirtualMachine } from '../../crds/virtual-machine.ts'
import { defaultPlacement } from '../../policy/placement.ts'
import { reconcile, type Env } from '../../lib/reconcile/reconcile.ts'
import { fakeFleet, fakeHost, type FakeHost } from '../fleet/testing.ts'
import { newLedger } from '../fleet/ledger.ts'
import { newOrders } from './orders.ts'
import { virtualMachineReconciler } from './reconciler.ts'
import type { Deps } from './scope.ts'

const GI = 2 ** 30

/** A machine that should run, as the API server returns it. */
export function machine(spec: Partial<VirtualMachine['spec']> = {}): VirtualMachine {
  return {
    apiVersion: 'compute.holdfast.dev/v1alpha1',
    kind: 'VirtualMachine',
    metadata: { ...meta('web', 'u-1'), finalizers: [VirtualMachine.finalizer ?? ''] },
    spec: {
      cpus: 2,
      memory: '4Gi',
      machineType: 'q35',
      runStrategy: 'Always',
      rootDisk: { imageRef: { name: 'debian' } },
      disks: [],
      placement: {},
      terminationGracePeriodSeconds: 60,
      ...spec,
    },
  }
}

/** An image that host-a has. */
export function image(status: Image['status'] = {}): Image {
  return {
    apiVersion: 'storage.holdfast.dev/v1alpha1',
    kind: 'Image',
    metadata: meta('debian', 'i-1'),
    spec: { source: { file: { path: 'debian.qcow2' } }, format: 'qcow2' },
    status: { conditions: [ready()], sha256: 'a'.repeat(64), virtualSize: '2Gi', hosts: ['host-a'], ...status },
  }
}

/** A disk on host-a that is ready. */
export function disk(name: string, status: Disk['status'] = {}): Disk {
  return {
    apiVersion: 'storage.holdfast.dev/v1alpha1',
    kind: 'Disk',
    metadata: meta(name, `d-${name}`),
    spec: { size: '1Gi' },
    status: { conditions: [ready()], host: 'host-a', dataStorage: 'local', size: '1Gi', ...status },
  }
}

function meta(name: string, uid: string) {
  return {
    name,
    namespace: 'shop',
    uid,
    generation: 1,
    resourceVersion: '1',
    creationTimestamp: '2026-01-01T00:00:00Z',
  }
}

function ready(): Condition {
  return { type: 'Ready', status: 'True', reason: 'Ready', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' }
}

/** A cluster with one machine, one host and its storage, all in memory. The clock stands still until it is moved. */
export class World {
  readonly host: FakeHost = fakeHost('host-a')
  readonly images = new Map<string, Image>([['debian', image()]])
  readonly disks = new Map<string, Disk>()
  readonly events: string[] = []
  readonly waitingSince = new Map<string, number>()
  stored: VirtualMachine | undefined
  writes = 0
  nowMs = 0
  /** What the next status write does instead of storing. */
  crash: Error | undefined
  #deps = this.#newDeps()

  constructor(vm: VirtualMachine) {
    this.stored = structuredClone(vm)
  }

  /** A controller that starts anew forgets all that it kept in memory. */
  restart(): void {
    this.#deps = this.#newDeps()
    this.waitingSince.clear()
  }

  async reconcile(times = 1): Promise<void> {
    for (let i = 0; i < times; i++) await reconcile('shop/web', virtualMachineReconciler(this.#deps), this.#env())
  }

  /** Reconciles until a wait is old enough to be told. */
  async settle(): Promise<void> {
    await this.reconcile(2)
    this.nowMs += 2_000
    await this.reconcile(2)
  }

  condition(wanted: string): Condition | undefined {
    return this.stored?.status?.conditions?.find(({ type }) => type === wanted)
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
    let ids = 0
    const all = () => [...this.disks.values()]
    return {
      fleet: fakeFleet(this.host),
      ledger: newLedger(),
      orders: newOrders(),
      candidates: {
        hosts: () => [
          { name: 'host-a', labels: {}, cpus: 8, memoryBytes: 32 * GI, placed: { cpus: 0, memoryBytes: 0 } },
        ],
        storages: () => [
          { name: 'local', host: 'host-a', capacityBytes: 100 * GI, availableBytes: 90 * GI, provisionedBytes: 0 },
        ],
        storage: () => undefined,
        settings: () => defaultPlacement,
      },
      image: (_namespace, name) => this.images.get(name),
      disk: (_namespace, name) => this.disks.get(name),
      disksOf: (id) => all().filter(({ metadata: { labels } }) => Object.values(labels ?? {}).includes(id)),
      attachedTo: (id) => all().filter(({ status }) => status?.attachedTo?.machineId === id),
      createDisk: async ({ metadata, spec }) => {
        const made: Disk = {
          ...disk(metadata.name),
          metadata: { ...meta(metadata.name, `d-${metadata.name}`), ...metadata },
          spec,
          status: {},
        }
        this.disks.set(metadata.name, made)
        return made
      },
      deleteDisk: async ({ metadata: { name } }) => void this.disks.delete(name),
      setAttachment: async (target, attachedTo) => {
        const { attachedTo: _, ...rest } = target.status ?? {}
        target.status = attachedTo ? { ...rest, attachedTo } : rest
        return target
      },
      newId: () => `00000000-0000-4000-8000-${String(++ids).padStart(12, '0')}`,
      newMac: () => '02:00:00:00:00:01',
    }
  }

  #env(): Env<VirtualMachine> {
    return {
      get: () => structuredClone(this.stored),
      clock: {
        now: () => new Date('2026-01-01T00:00:00Z'),
        monotonicMs: () => this.nowMs,
        sleep: () => Promise.resolve(),
      },
      emit: (_vm, { type, reason }) => void this.events.push(`${type} ${reason}`),
      waitingSince: this.waitingSince,
      writer: {
        applyStatus: async (before, status) => {
          if (this.crash) throw this.crash
          this.writes++
          this.stored = structuredClone({ ...before, status })
          return structuredClone(this.stored)
        },
        addFinalizer: async (before) => before,
        removeFinalizer: async () => {
          this.stored = undefined
          return undefined
        },
      },
    }
  }
}
