import { brakeRecords, type BrakeConfigMap } from '../../crds/brake-record.ts'
import { DataStorage } from '../../crds/data-storage.ts'
import { Disk } from '../../crds/disk.ts'
import { Host } from '../../crds/host.ts'
import { downloadOf, Image } from '../../crds/image.ts'
import type { Kind, Resource } from '../../crds/kind.ts'
import { PlatformSettings } from '../../crds/platform-settings.ts'
import { originOf, RecycledResource } from '../../crds/recycled-resource.ts'
import { makerOf, diskNames, VirtualMachine } from '../../crds/virtual-machine.ts'
import { ObjectCache } from '../../lib/kube/cache.ts'
import { machineIn } from '../../policy/deletion.ts'
import { takenAlong } from '../../policy/recycled-contents.ts'
import { entryKey } from '../../policy/recovery.ts'
import { makerIn } from '../recycle-bin/maker.ts'
import { runReflector, type ReflectorObserver, type ReflectorOptions } from '../../lib/kube/reflector.ts'

/** What the API server holds of every kind, found by what refers to what. Nothing here is ever scanned for one object. */
export interface Caches {
  /**
   * `image`, `disk`: `namespace/name` of what it uses. `host`: where it is placed. `machineId`: its identity.
   * `waiting`: `placement` until it is placed. `origin`: entry of the recycle bin that it comes from.
   */
  readonly virtualMachines: ObjectCache<VirtualMachine, 'image' | 'disk' | 'host' | 'machineId' | 'waiting' | 'origin'>
  /**
   * `image`: `namespace/name` of its source. `host`: that reaches it. `id`: name of its file, or of the one that it asks for. `maker`: machine that it
   * was made for. `user`: machine that it is attached to. `holder`: `namespace/name` of that. `keeper`: machine that has it all the same. `waiting`: `placement` until it has a data storage.
   * `origin`: entry of the recycle bin that it comes from.
   */
  readonly disks: ObjectCache<
    Disk,
    'image' | 'host' | 'id' | 'maker' | 'user' | 'holder' | 'keeper' | 'waiting' | 'origin'
  >
  /**
   * `path`: of its file below the import folder. `download`: digest of the file that hosts download for it.
   * `origin`: entry of the recycle bin that it comes from.
   */
  readonly images: ObjectCache<Image, 'path' | 'download' | 'origin'>
  readonly dataStorages: ObjectCache<DataStorage, 'host'>
  readonly hosts: ObjectCache<Host, never>
  readonly platformSettings: ObjectCache<PlatformSettings, never>
  readonly recycled: ObjectCache<RecycledResource, EntryIndex>
  /** What the webhooks wrote down of who deletes how much. */
  readonly brakes: ObjectCache<BrakeConfigMap, never>
}

/**
 * `object`: what was deleted. `machine`: identity of that, where it was one. `maker`: machine that a Disk
 * in it was made for. `disk`: `namespace/name` of what a machine took along. `file`: name of a disk's file that it holds. `mac`: Ethernet address that is kept for it.
 * `download`: digest of a file that hosts keep for it. `purging`: host that its disks are being destroyed on.
 */
export type EntryIndex = 'object' | 'machine' | 'maker' | 'disk' | 'file' | 'mac' | 'download' | 'purging'

/** Empty caches. */
export function newCaches(): Caches {
  return {
    virtualMachines: new ObjectCache({
      image: ({ metadata, spec }) => within(metadata.namespace, spec.rootDisk.imageRef?.name),
      disk: disksOf,
      host: ({ status }) => listed(status?.host),
      machineId: ({ status }) => listed(status?.machineId),
      waiting: ({ status }) => (status?.host === undefined ? ['placement'] : []),
      origin: ({ metadata }) => listed(originOf(metadata)),
    }),
    disks: new ObjectCache({
      image: ({ metadata, spec }) => within(metadata.namespace, spec.source?.image?.name),
      host: ({ status }) => listed(status?.host),
      id: ({ metadata, spec, status }) => [status?.id ?? spec.source?.existing?.id ?? metadata.uid],
      maker: ({ metadata }) => listed(makerOf(metadata)),
      user: ({ status }) => listed(status?.attachedTo?.machineId),
      holder: ({ metadata, status }) => within(metadata.namespace, status?.attachedTo?.virtualMachine),
      keeper: ({ status }) => listed(status?.heldBy?.machineId),
      waiting: ({ status }) => (status?.dataStorage === undefined ? ['placement'] : []),
      origin: ({ metadata }) => listed(originOf(metadata)),
    }),
    images: new ObjectCache({
      path: ({ spec }) => listed(spec.source.file?.path),
      download: (image) => listed(downloadOf(image)?.sha256),
      origin: ({ metadata }) => listed(originOf(metadata)),
    }),
    dataStorages: new ObjectCache({ host: ({ spec }) => [spec.local.host] }),
    hosts: new ObjectCache({}),
    platformSettings: new ObjectCache({}),
    recycled: new ObjectCache({
      object: ({ spec: { resource } }) => [entryKey(resource.kind, resource.namespace, resource.name)],
      machine: (entry) => listed(machineIn(entry)),
      maker: (entry) => listed(makerIn(entry)),
      disk: (entry) => takenAlong(entry).map(({ name }) => `${entry.spec.resource.namespace}/${name}`),
      file: ({ spec }) => (spec.contents?.disks ?? []).map(({ id }) => id),
      mac: ({ spec }) => (spec.contents?.addresses ?? []).map(({ mac }) => mac),
      download: ({ spec }) => listed(spec.contents?.download?.sha256),
      purging: purgingOn,
    }),
    brakes: new ObjectCache({}),
  }
}

function purgingOn({ spec: { contents }, status }: RecycledResource): string[] {
  if (status?.phase !== 'Purging') return []
  return [...listed(contents?.host), ...(contents?.download?.hosts ?? [])]
}

const CONFIG_MAPS = { group: '', version: 'v1', plural: 'configmaps', scope: 'Namespaced' } as const

interface Following extends Pick<ReflectorOptions<Resource>, 'kube' | 'clock' | 'log' | 'signal' | 'relistMs'> {
  /** What is told of how each kind is followed, by its plural. */
  readonly observe?: ((plural: string) => ReflectorObserver) | undefined
}

/** Keeps the caches equal to what the API server holds, until the signal is aborted. */
export async function followCluster(caches: Caches, { observe, ...how }: Following): Promise<void> {
  const follow = <K extends Kind>(kind: K, cache: ObjectCache<Resource<K>>) =>
    runReflector({ ...how, kind, cache, observer: observe?.(kind.plural) })
  await Promise.all([
    follow(VirtualMachine, caches.virtualMachines),
    follow(Disk, caches.disks),
    follow(Image, caches.images),
    follow(DataStorage, caches.dataStorages),
    follow(Host, caches.hosts),
    follow(PlatformSettings, caches.platformSettings),
    follow(RecycledResource, caches.recycled),
    runReflector({
      ...how,
      kind: CONFIG_MAPS,
      among: brakeRecords,
      cache: caches.brakes,
      observer: observe?.(CONFIG_MAPS.plural),
    }),
  ])
}

/** Resolves once all that exists is in the caches, or the signal is aborted. */
export async function untilSynced(caches: Caches, signal: AbortSignal): Promise<void> {
  const { promise: aborted, resolve } = Promise.withResolvers<undefined>()
  signal.addEventListener('abort', () => resolve(undefined), { once: true })
  await Promise.race([aborted, Promise.all(cachesIn(caches).map(({ synced }) => synced))])
}

/** Has the caches tell nobody any more of what changes. */
export function endSubscriptions(caches: Caches): void {
  for (const cache of cachesIn(caches)) cache.endSubscriptions()
}

function cachesIn(caches: Caches): Pick<ObjectCache, 'synced' | 'endSubscriptions'>[] {
  const { virtualMachines, disks, images, dataStorages, hosts, platformSettings, recycled, brakes } = caches
  return [virtualMachines, disks, images, dataStorages, hosts, platformSettings, recycled, brakes]
}

/** `namespace/name` of every disk that a machine uses. */
export function disksOf(vm: VirtualMachine): string[] {
  return diskNames(vm).flatMap((disk) => within(vm.metadata.namespace, disk))
}

function within(namespace = '', name?: string): string[] {
  return name === undefined ? [] : [`${namespace}/${name}`]
}

function listed(value: string | undefined): string[] {
  return value === undefined ? [] : [value]
}
