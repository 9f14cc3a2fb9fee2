import type { Disk } from '../crds/disk.ts'
import type { Resource } from '../crds/kind.ts'
import type { RecycledResource } from '../crds/recycled-resource.ts'
import type { VirtualMachine } from '../crds/virtual-machine.ts'
import { keyOf } from '../lib/kube/paths.ts'
import { decidedBy, type DeletionDecision } from '../policy/deletion.ts'
import { markedDisks, whyItStays } from '../policy/further-disks.ts'
import { disksOf, type Caches } from './caches.ts'
import { nameOf } from './review.ts'
import type { DeleteFacts } from './rules/delete.ts'
import { settingsOf } from './sources.ts'

type Relations = Pick<DeleteFacts, 'machines' | 'disks' | 'goAlong' | 'heldBack' | 'storages' | 'binned'>

/** What belongs to an object, or uses it. Which disks a machine takes along depends on what its delete does. */
export function relationsOf(caches: Caches, object: Resource, decision?: DeletionDecision): Relations {
  const none: Relations = { machines: [], disks: [], goAlong: [], heldBack: new Map(), storages: [], binned: [] }
  const key = keyOf(object.metadata)
  const { name } = object.metadata
  switch (object.kind) {
    case 'VirtualMachine':
      return { ...none, ...ofMachine(caches, key, decision) }
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

function ofMachine(caches: Caches, key: string, decision: DeletionDecision | undefined): Partial<Relations> {
  const vm = caches.machines.get(key)
  if (!vm) return {}
  const looked = decision ? marksOf(caches, vm, decision) : []
  return {
    disks: disksOf(vm).filter((disk) => caches.disks.get(disk) !== undefined),
    goAlong: looked.flatMap(({ name, why }) => (why === undefined ? [name] : [])),
    heldBack: new Map(looked.flatMap(({ name, why }) => (why === undefined ? [] : [[name, why] as const]))),
  }
}

/** Disks that a machine is to take along, and why one stays all the same. */
function marksOf(caches: Caches, vm: VirtualMachine, decision: DeletionDecision) {
  return markedDisks(vm).flatMap((marked) => {
    const name = keyOf({ namespace: vm.metadata.namespace, name: marked })
    const disk = caches.disks.get(name)
    if (!disk) return []
    const { uid, deletionTimestamp } = disk.metadata
    const own = deletionTimestamp === undefined ? undefined : caches.recycled.get(uid)
    const stamped = own && decidedBy(own.spec.deletion)
    const users = caches.machines.by('disk', name)
    return [{ name, why: whyItStays({ vm, disk, decision, stamped, settings: settingsOf(caches), users }) }]
  })
}

/** Whether a machine takes a Disk along when both are deleted so. */
export function goesAlong(
  caches: Caches,
  disk: Disk,
  decisions: { readonly disk: DeletionDecision; readonly of: (vm: VirtualMachine) => DeletionDecision },
): boolean {
  const attached = holderOf(disk)
  const vm = attached === undefined ? undefined : caches.machines.get(attached)
  if (!vm || !markedDisks(vm).includes(disk.metadata.name)) return false
  const [decision, settings] = [decisions.of(vm), settingsOf(caches)]
  // The others that name it go too.
  return whyItStays({ vm, disk, decision, stamped: decisions.disk, settings, users: [] }) === undefined
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
