import { keyOf } from '../../lib/kube/paths.ts'
import { takenAlong } from '../../policy/recycled-contents.ts'
import { disksOf, type Caches } from '../cluster/caches.ts'
import { enqueueAll, onEvery, onIdentity, type Enqueue } from '../cluster/watch.ts'
import type { FleetEvent } from '../fleet/fleet-host.ts'
import { makerIn } from '../recycle-bin/maker.ts'

/** Looks at machines again when what they use, or where they could go, has changed. */
export function watchVirtualMachines(caches: Caches, enqueue: Enqueue): (event: FleetEvent) => void {
  const { virtualMachines, disks, images, hosts, dataStorages, platformSettings, recycled } = caches
  const unplaced = () => enqueueAll(enqueue, virtualMachines.by('waiting', 'placement'))

  onEvery(images, ({ metadata }) => enqueueAll(enqueue, virtualMachines.by('image', keyOf(metadata))))
  onEvery(disks, ({ metadata, status }, isGone) => {
    enqueueAll(enqueue, virtualMachines.by('disk', keyOf(metadata)))
    // It may name the disk no more, and has to give it back.
    const holder = status?.attachedTo?.machineId
    if (holder !== undefined) enqueueAll(enqueue, virtualMachines.by('machineId', holder))
    if (isGone) unplaced() // It left room on its storage.
  })
  onIdentity(virtualMachines, (vm) => {
    const held = disks.by('holder', keyOf(vm.metadata)).map(({ metadata }) => keyOf(metadata))
    for (const disk of held) enqueueAll(enqueue, virtualMachines.by('disk', disk))
  })
  onEvery(virtualMachines, (vm, isGone) => {
    if (!isGone) return
    const { machineId } = vm.status ?? {}
    if (machineId !== undefined) enqueueAll(enqueue, virtualMachines.by('machineId', machineId))
    for (const disk of disksOf(vm)) enqueueAll(enqueue, virtualMachines.by('disk', disk))
    unplaced() // It left room on its host.
  })
  onEvery(recycled, (entry, isGone) => {
    // What is to come from the recycle bin waits for its entry.
    enqueueAll(enqueue, virtualMachines.by('origin', entry.metadata.name))
    if (!isGone) return
    // It may have said that a disk of it is in the bin.
    const { kind, namespace, name } = entry.spec.resource
    const binned = kind === 'Disk' ? [name] : takenAlong(entry).map((held) => held.name)
    for (const disk of binned) enqueueAll(enqueue, virtualMachines.by('disk', `${namespace}/${disk}`))
    enqueueAll(enqueue, virtualMachines.by('machineId', makerIn(entry) ?? ''))
  })
  for (const cache of [dataStorages, platformSettings]) cache.onChange(unplaced)
  onEvery(hosts, ({ metadata }) => {
    enqueueAll(enqueue, virtualMachines.by('host', metadata.name))
    unplaced()
  })

  return (event) => {
    if (event.type === 'Machine') enqueueAll(enqueue, virtualMachines.by('machineId', event.machine.id), 'AtOnce')
    if (event.type !== 'Host') return
    enqueueAll(enqueue, virtualMachines.by('host', event.host))
    unplaced()
  }
}
