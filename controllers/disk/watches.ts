import type { ObservedMachine } from '../../agent/contract.ts'
import type { Disk } from '../../crds/disk.ts'
import { originOf } from '../../crds/recycled-resource.ts'
import { makerOf } from '../../crds/virtual-machine.ts'
import { keyOf } from '../../lib/kube/paths.ts'
import type { Caches } from '../cluster/caches.ts'
import { enqueueAll, onEvery, onIdentity, type Enqueue } from '../cluster/watch.ts'
import type { FleetEvent } from '../fleet/fleet-host.ts'

/** Looks at disks again when their image, storage or host has changed, or the machine that uses them is gone. */
export function watchDisks(caches: Caches, enqueue: Enqueue): (event: FleetEvent) => void {
  const { virtualMachines, disks, images, dataStorages, platformSettings, recycled } = caches
  const unplaced = () => enqueueAll(enqueue, disks.by('waiting', 'placement'))

  onEvery(images, ({ metadata }) => enqueueAll(enqueue, disks.by('image', keyOf(metadata))))
  onEvery(disks, ({ metadata }, isGone) => {
    const origin = originOf(metadata)
    // What comes back with a machine waits for its root disk.
    if (origin !== undefined) enqueueAll(enqueue, disks.by('origin', origin))
    if (isGone) unplaced() // It left room on its storage.
  })
  onEvery(dataStorages, ({ spec }) => {
    enqueueAll(enqueue, disks.by('host', spec.local.host))
    unplaced()
  })
  platformSettings.onChange(unplaced)
  onIdentity(virtualMachines, (vm) => enqueueAll(enqueue, disks.by('holder', keyOf(vm.metadata))))
  onEvery(virtualMachines, ({ status }, isGone) => {
    if (!isGone) return
    // A disk that is being deleted waits for its machine to go.
    if (status?.machineId !== undefined) enqueueAll(enqueue, disks.by('user', status.machineId))
    unplaced() // A root disk that was to be made is made no more.
  })

  // What is to come from the recycle bin waits for its entry. A machine that is put away takes its disk along, once its
  // entry says so.
  onEvery(recycled, ({ metadata, spec: { resource, contents } }) => {
    enqueueAll(enqueue, disks.by('origin', metadata.name))
    if (resource.kind !== 'VirtualMachine' || !contents) return
    enqueueAll(enqueue, disks.by('holder', keyOf(resource)))
  })

  return (event) => {
    if (event.type === 'Disk') enqueueAll(enqueue, disks.by('id', event.disk.id), 'AtOnce')
    if (event.type === 'Machine') lookAtDisksOf(caches, enqueue, event.machine)
    if (event.type !== 'Host') return
    enqueueAll(enqueue, disks.by('host', event.host))
    unplaced()
  }
}

/** Looks at those disks again that say which machine has them, or should. */
export function lookAtDisksOf({ disks }: Caches, enqueue: Enqueue, machine: ObservedMachine): void {
  enqueueAll(enqueue, disksHeldOddly(disks, machine), 'AtOnce')
}

/** Disks that a machine has though they are not its own by our records, or had until now. */
function disksHeldOddly(disks: Caches['disks'], { id: machineId, disks: held = [] }: ObservedMachine): Disk[] {
  const isOwn = ({ metadata, status }: Disk) => (status?.attachedTo?.machineId ?? makerOf(metadata)) === machineId
  const others = held.flatMap(({ id }) => disks.by('id', id)).filter((disk) => !isOwn(disk))
  return [...others, ...disks.by('keeper', machineId)]
}
