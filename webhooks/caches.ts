import * as z from 'zod'
import { DataStorage } from '../crds/data-storage.ts'
import { Disk } from '../crds/disk.ts'
import { Host } from '../crds/host.ts'
import { Image } from '../crds/image.ts'
import type { Kind, Resource } from '../crds/kind.ts'
import { PlatformSettings } from '../crds/platform-settings.ts'
import { RecycledResource } from '../crds/recycled-resource.ts'
import { diskNames, VirtualMachine } from '../crds/virtual-machine.ts'
import { ObjectCache } from '../lib/kube/cache.ts'
import { machineIn } from '../policy/deletion.ts'
import { takenAlong } from '../policy/recycled-contents.ts'
import { entryKey } from '../policy/recovery.ts'
import { runReflector, type ReflectorObserver, type ReflectorOptions } from '../lib/kube/reflector.ts'

/** What the API server holds, found by what refers to what: so that an answer waits for nobody. */
export interface Caches {
  /** `host`: where it is placed. `image`: `namespace/name` of what its spec names. `disk`: of what it uses. */
  readonly machines: ObjectCache<VirtualMachine, 'host' | 'image' | 'disk'>
  /** `image`: `namespace/name` of its source. `storage`: that it is on, or asks for. */
  readonly disks: ObjectCache<Disk, 'image' | 'storage'>
  readonly images: ObjectCache<Image, never>
  readonly hosts: ObjectCache<Host, never>
  /** `host`: that it is on. */
  readonly storages: ObjectCache<DataStorage, 'host'>
  readonly settings: ObjectCache<PlatformSettings, never>
  /**
   * `object`: `Kind/namespace/name` of what was deleted. `machine`: identity of that, where it was one. `disk`: `namespace/name` of what a machine took along. `storage`: that a disk in it is on. `host`: where it is to come
   * back to. `image`: `namespace/name` of what it was made from.
   */
  readonly recycled: ObjectCache<RecycledResource, 'object' | 'machine' | 'disk' | 'storage' | 'host' | 'image'>
}

/** Empty caches. */
export function newCaches(): Caches {
  return {
    machines: new ObjectCache({
      host: ({ status }) => listed(status?.host),
      image: ({ metadata, spec }) => within(metadata.namespace, spec.rootDisk.imageRef?.name),
      disk: disksOf,
    }),
    disks: new ObjectCache({
      image: ({ metadata, spec }) => within(metadata.namespace, spec.source?.image?.name),
      storage: ({ spec, status }) => listed(status?.dataStorage ?? spec.dataStorage),
    }),
    images: new ObjectCache({}),
    hosts: new ObjectCache({}),
    storages: new ObjectCache({ host: ({ spec }) => [spec.local.host] }),
    settings: new ObjectCache({}),
    recycled: new ObjectCache({
      object: ({ spec: { resource } }) => [entryKey(resource.kind, resource.namespace, resource.name)],
      machine: (entry) => listed(machineIn(entry)),
      disk: (entry) => takenAlong(entry).map(({ name }) => `${entry.spec.resource.namespace}/${name}`),
      storage: ({ spec }) => [...new Set((spec.contents?.disks ?? []).map(({ dataStorage }) => dataStorage))],
      host: ({ spec }) => listed(spec.contents?.host),
      image: ({ spec }) => within(spec.resource.namespace, imageIn(spec.contents?.manifest)),
    }),
  }
}

const named = z.object({ name: z.string() })
const madeFrom = z.object({
  spec: z.object({
    rootDisk: z.object({ imageRef: named.optional() }).optional(),
    source: z.object({ image: named.optional() }).optional(),
  }),
})

/** Name of the image that a machine or a disk was made from, by its manifest. */
function imageIn(manifest: unknown): string | undefined {
  const { rootDisk, source } = madeFrom.safeParse(manifest).data?.spec ?? {}
  return (rootDisk?.imageRef ?? source?.image)?.name
}

/** `namespace/name` of the Disks that a machine's spec names, its own root disk included, and of others that its guest has. */
export function disksOf(machine: VirtualMachine): string[] {
  const names = [...diskNames(machine), ...(machine.status?.unnamedDisks ?? [])]
  return [...new Set(names)].map((name) => `${machine.metadata.namespace ?? ''}/${name}`)
}

interface Following extends Pick<ReflectorOptions<Resource>, 'kube' | 'clock' | 'log' | 'signal'> {
  /** What is told of how each kind is followed, by its plural. */
  readonly observe?: ((plural: string) => ReflectorObserver) | undefined
}

/** Keeps the caches equal to what the API server holds, until the signal is aborted. */
export async function followCluster(caches: Caches, { observe, ...how }: Following): Promise<void> {
  const follow = <K extends Kind>(kind: K, cache: ObjectCache<Resource<K>>) =>
    runReflector({ ...how, kind, cache, observer: observe?.(kind.plural) })
  await Promise.all([
    follow(VirtualMachine, caches.machines),
    follow(Disk, caches.disks),
    follow(Image, caches.images),
    follow(Host, caches.hosts),
    follow(DataStorage, caches.storages),
    follow(PlatformSettings, caches.settings),
    follow(RecycledResource, caches.recycled),
  ])
}

/** Resolves once all that exists is in the caches. */
export async function untilSynced(caches: Caches): Promise<void> {
  await Promise.all(Object.values(caches).map((cache: Caches[keyof Caches]) => cache.synced))
}

function within(namespace: string | undefined, name: string | undefined): string[] {
  return namespace === undefined || name === undefined ? [] : [`${namespace}/${name}`]
}

function listed(value: string | undefined): string[] {
  return value === undefined ? [] : [value]
}
