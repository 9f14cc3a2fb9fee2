import type { Condition, ObjectMeta } from '../common.ts'
import type { DataStorage } from '../data-storage.ts'
import { deletionSettings } from '../deletion.ts'
import { Disk } from '../disk.ts'
import type { Host } from '../host.ts'
import { Image } from '../image.ts'
import type { PlatformSettings } from '../platform-settings.ts'
import type { RecyclableKind, RecycledResource } from '../recycled-resource.ts'
import { VirtualMachine } from '../virtual-machine.ts'

const STORAGE = 'storage.holdfast.dev/v1alpha1'
const COMPUTE = 'compute.holdfast.dev/v1alpha1'
const TIME = '2026-01-01T00:00:00Z'

/** What the API server fills in. The uid follows from the name. */
export function meta(name: string, more: Partial<ObjectMeta> = {}): ObjectMeta {
  return { name, uid: uidOf(name), generation: 1, resourceVersion: '1', creationTimestamp: TIME, ...more }
}

/** A uid that follows from a name. */
export function uidOf(name: string): string {
  const digits = Array.from(name).reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 2 ** 40, 7)
  return `10000000-0000-4000-8000-${digits.toString(16).padStart(12, '0')}`
}

/** A condition, by default `Ready` and true. */
export function condition(more: Partial<Condition> = {}): Condition {
  return { type: 'Ready', status: 'True', reason: 'Ready', message: '', lastTransitionTime: TIME, ...more }
}

/** Machine `web` of 2 CPUs and 4 GiB that should run from image `debian`. */
export function machine(
  spec: Partial<VirtualMachine['spec']> = {},
  metadata: Partial<ObjectMeta> = {},
): VirtualMachine {
  return {
    apiVersion: COMPUTE,
    kind: 'VirtualMachine',
    metadata: meta(metadata.name ?? 'web', {
      namespace: 'shop',
      finalizers: [VirtualMachine.finalizer ?? ''],
      ...metadata,
    }),
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

/** An entry of `spec.disks` of a machine. */
export function attachment(name: string, isMarked = false): VirtualMachine['spec']['disks'][number] {
  return { diskRef: { name }, ...(isMarked && { deleteWithVirtualMachine: true }) }
}

/** Image `debian` of 2 GiB, which is verified and which host-a has. */
export function image(status: Image['status'] = {}, spec: Partial<Image['spec']> = {}): Image {
  return {
    apiVersion: STORAGE,
    kind: 'Image',
    metadata: meta('debian', { namespace: 'shop', finalizers: [Image.finalizer ?? ''] }),
    spec: { source: { file: { path: 'debian.qcow2' } }, format: 'qcow2', ...spec },
    status: { conditions: [condition()], sha256: 'a'.repeat(64), virtualSize: '2Gi', hosts: ['host-a'], ...status },
  }
}

/** A disk of 1 GiB on host-a that is ready. */
export function disk(name: string, status: Disk['status'] = {}, more: Partial<ObjectMeta> = {}): Disk {
  return {
    apiVersion: STORAGE,
    kind: 'Disk',
    metadata: meta(name, { namespace: 'shop', finalizers: [Disk.finalizer ?? ''], ...more }),
    spec: { size: '1Gi' },
    status: { conditions: [condition()], host: 'host-a', dataStorage: 'local', size: '1Gi', ...status },
  }
}

/** A disk that was just made, which nobody has looked at. */
export function newDisk(spec: Partial<Disk['spec']> = {}, more: Partial<ObjectMeta> = {}): Disk {
  const { status: _, ...made } = disk(more.name ?? 'data', {}, more)
  return { ...made, spec: { ...made.spec, ...spec } }
}

/** Data storage `local` of 100 GiB on host-a that is usable. */
export function dataStorage(status: DataStorage['status'] = {}, name = 'local', on = 'host-a'): DataStorage {
  return {
    apiVersion: STORAGE,
    kind: 'DataStorage',
    metadata: meta(name),
    spec: { type: 'Local', local: { host: on, path: '/srv/disks' } },
    status: {
      conditions: [condition(), condition({ type: 'Usable', reason: 'Usable' })],
      capacity: '100Gi',
      ...status,
    },
  }
}

/** A host as a user writes it. */
export function host(name = 'host-a', labels: Record<string, string> = {}): Host {
  return {
    apiVersion: COMPUTE,
    kind: 'Host',
    metadata: meta(name, { labels }),
    spec: { address: '127.0.0.1', port: 8444 },
  }
}

/** The settings, with their defaults where none are given. */
export function platformSettings(placement: Partial<PlatformSettings['spec']['placement']> = {}): PlatformSettings {
  return {
    apiVersion: 'platform.holdfast.dev/v1alpha1',
    kind: 'PlatformSettings',
    metadata: meta('default'),
    spec: {
      placement: {
        cpuOvercommitPercent: 1000,
        memoryOvercommitPercent: 100,
        reservedMemoryMi: 1024,
        storageOvercommitPercent: 200,
        ...placement,
      },
      imports: { allowedNetworks: [], maxImageSize: '64Gi' },
      deletion: deletionSettings.parse({}),
    },
  }
}

/** What the recycle bin has of an object of namespace shop, which ann deleted under Delayed. */
export function entry(
  kind: RecyclableKind,
  name: string,
  contents: Partial<NonNullable<RecycledResource['spec']['contents']>> = {},
): RecycledResource {
  const apiVersion = kind === 'VirtualMachine' ? COMPUTE : STORAGE
  const uid = uidOf(`${kind}/${name}`)
  const resource = { apiVersion, kind, namespace: 'shop', name, uid }
  const deletion = { by: 'ann', at: TIME, policy: 'Delayed', retention: '3d', purgeAt: '2026-01-04T00:00:00Z' } as const
  return {
    apiVersion: 'platform.holdfast.dev/v1alpha1',
    kind: 'RecycledResource',
    metadata: meta(uid, { uid: uidOf(uid) }),
    spec: { resource, deletion, contents: { manifest: {}, ...contents } },
    status: { phase: 'Binned' },
  }
}

/** A disk in an entry, of 1 GiB on storage `local` unless told otherwise. */
export function binnedDisk(name: string, more: { readonly dataStorage?: string; readonly size?: string } = {}) {
  return { name, uid: uidOf(name), id: uidOf(`file of ${name}`), dataStorage: 'local', size: '1Gi', ...more }
}
