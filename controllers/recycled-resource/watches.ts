import { originOf } from '../../crds/recycled-resource.ts'
import type { Resource } from '../../crds/kind.ts'
import type { ObjectCache } from '../../lib/kube/cache.ts'
import type { Caches } from '../cluster/caches.ts'
import { enqueueAll, onEvery, type Enqueue } from '../cluster/watch.ts'
import type { FleetEvent } from '../fleet/fleet-host.ts'

/** Looks at an entry again when its object is gone, when what was made of it changes, and when its host is back. */
export function watchRecycled(caches: Caches, enqueue: Enqueue): (event: FleetEvent) => void {
  const { virtualMachines, disks, images, recycled } = caches
  const look = ({ metadata }: Resource, isGone: boolean) => {
    const origin = originOf(metadata)
    const names = isGone ? [metadata.uid, origin] : [origin]
    for (const name of names) if (name !== undefined && recycled.get(name)) enqueue(name)
  }
  const all: readonly ObjectCache[] = [virtualMachines, disks, images]
  for (const cache of all) onEvery(cache, look)
  return (event) => {
    if (event.type === 'Host') enqueueAll(enqueue, recycled.by('purging', event.host))
  }
}
