import type { Disk } from '../crds/disk.ts'
import type { Resource } from '../crds/kind.ts'
import type { RecycledResource } from '../crds/recycled-resource.ts'
import type { VirtualMachine } from '../crds/virtual-machine.ts'
import { keyOf } from '../lib/kube/paths.ts'
import { disksOf, type Caches } from './caches.ts'
import { nameOf } from './review.ts'
import type { DeleteFacts } from './rules/delete.ts'

type Relations = Pick<DeleteFacts, 'machines' | 'disks' | 'storages' | 'binned'>

/** What belongs to an object, or uses it, as far as it stays when that is deleted. */
export function relationsOf(caches: Caches, object: Resource): Relations {
  const none: Relations = { machines: [], disks: [], storages: [], binned: [] }
  const key = keyOf(object.metadata)
  const { name } = object.metadata
  switch (object.kind) {
    case 'VirtualMachine': {
      const machine = caches.machines.get(key)
      const existing = (disk: string) => caches.disks.get(disk) !== undefined
      return { ...none, disks: machine ? disksOf(machine).filter(existing) : [] }
    }
    case 'Disk':
      return { ...none, machines: holdersOf(caches, key) }
    case 'Image':
      return {
        ...none,
        machines: keys(caches.machines.by('image', key)),
        disks: keys(caches.disks.by('image', key)),
        binned: entries(caches.recycled.by('image', key)),
      }
    case 'Host':
      return {
        ...none,
        machines: keys(caches.machines.by('host', name)),
        storages: keys(caches.storages.by('host', name)),
        // Who has them purged has given them up: a host that is dead can go then.
        binned: entries(caches.recycled.by('host', name).filter((entry) => !isPurged(entry))),
      }
    case 'DataStorage':
      return { ...none, disks: keys(caches.disks.by('storage', name)), binned: entries(binnedOn(caches, name)) }
    default:
      return none
  }
}

/** Machines that have a disk or ask for it, and are not being deleted themselves. */
function holdersOf({ machines, disks }: Caches, disk: string): string[] {
  const attached = holderOf(disks.get(disk))
  const holder = attached === undefined ? undefined : machines.get(attached)
  const all = new Set<VirtualMachine>([...machines.by('disk', disk), ...(holder ? [holder] : [])])
  return keys([...all].filter(({ metadata }) => metadata.deletionTimestamp === undefined))
}

function holderOf(disk: Disk | undefined): string | undefined {
  const attached = disk?.status?.attachedTo
  return attached && keyOf({ namespace: disk.metadata.namespace, name: attached.virtualMachine })
}

/** What has a disk on a storage, also while that is destroyed; unless nobody ever can, for its host is gone. */
function binnedOn({ recycled, hosts }: Caches, storage: string): RecycledResource[] {
  return recycled
    .by('storage', storage)
    .filter((entry) => !isPurged(entry) || hosts.get(entry.spec.contents?.host ?? '') !== undefined)
}

function isPurged({ status }: RecycledResource): boolean {
  return status?.phase === 'Purging'
}

/** `Kind namespace/name (entry)`, but for those that are destroyed at once: their object stands for them to its end. */
function entries(all: readonly RecycledResource[]): string[] {
  return all
    .filter(({ spec }) => spec.deletion.policy !== 'Immediate')
    .map(({ metadata, spec: { resource } }) => `${nameOf(resource.kind, resource)} (${metadata.name})`)
}

function keys(objects: readonly Resource[]): string[] {
  return objects.map(({ metadata }) => keyOf(metadata))
}
