import type { DataStorage } from '../../crds/data-storage.ts'
import type { Disk } from '../../crds/disk.ts'
import type { Host } from '../../crds/host.ts'
import type { Image } from '../../crds/image.ts'
import type { PlatformSettings } from '../../crds/platform-settings.ts'
import { makerOf, rootDiskName, type VirtualMachine } from '../../crds/virtual-machine.ts'
import { ObjectCache } from '../../lib/kube/cache.ts'

/** What the API server holds of every kind, found by what refers to what. Nothing here is ever scanned for one object. */
export interface Caches {
  /**
   * `image`, `disk`: `namespace/name` of what it uses. `host`: where it is placed. `machineId`: its identity.
   * `waiting`: `placement` until it is placed.
   */
  readonly virtualMachines: ObjectCache<VirtualMachine, 'image' | 'disk' | 'host' | 'machineId' | 'waiting'>
  /**
   * `image`: `namespace/name` of its source. `host`: that reaches it. `id`: name of its file. `maker`: machine that it
   * was made for. `user`: machine that it is attached to. `waiting`: `placement` until it has a data storage.
   */
  readonly disks: ObjectCache<Disk, 'image' | 'host' | 'id' | 'maker' | 'user' | 'waiting'>
  /** `path`: of its file below the import folder. */
  readonly images: ObjectCache<Image, 'path'>
  readonly dataStorages: ObjectCache<DataStorage, 'host'>
  readonly hosts: ObjectCache<Host, never>
  readonly platformSettings: ObjectCache<PlatformSettings, never>
}

/** Empty caches. */
export function newCaches(): Caches {
  return {
    virtualMachines: new ObjectCache({
      image: ({ metadata, spec }) => within(metadata.namespace, spec.rootDisk.imageRef?.name),
      disk: disksOf,
      host: ({ status }) => listed(status?.host),
      machineId: ({ status }) => listed(status?.machineId),
      waiting: ({ status }) => (status?.host === undefined ? ['placement'] : []),
    }),
    disks: new ObjectCache({
      image: ({ metadata, spec }) => within(metadata.namespace, spec.source?.image?.name),
      host: ({ status }) => listed(status?.host),
      id: ({ metadata, status }) => [status?.id ?? metadata.uid],
      maker: ({ metadata }) => listed(makerOf(metadata)),
      user: ({ status }) => listed(status?.attachedTo?.machineId),
      waiting: ({ status }) => (status?.dataStorage === undefined ? ['placement'] : []),
    }),
    images: new ObjectCache({ path: ({ spec }) => [spec.source.file.path] }),
    dataStorages: new ObjectCache({ host: ({ spec }) => [spec.local.host] }),
    hosts: new ObjectCache({}),
    platformSettings: new ObjectCache({}),
  }
}

/** `namespace/name` of every disk that a machine uses. */
export function disksOf(vm: VirtualMachine): string[] {
  const names = [rootDiskName(vm), ...vm.spec.disks.map(({ diskRef }) => diskRef.name)]
  return names.flatMap((disk) => within(vm.metadata.namespace, disk))
}

function within(namespace = '', name?: string): string[] {
  return name === undefined ? [] : [`${namespace}/${name}`]
}

function listed(value: string | undefined): string[] {
  return value === undefined ? [] : [value]
}
