import type { Caches } from '../cluster/caches.ts'
import { enqueueAll, onEvery, type Enqueue } from '../cluster/watch.ts'
import type { FleetEvent } from '../fleet/fleet-host.ts'

/** Looks at images again when a host comes, goes, or has finished a check. */
export function watchImages({ images, hosts }: Caches, enqueue: Enqueue): (event: FleetEvent) => void {
  const all = () => enqueueAll(enqueue, images.list())
  onEvery(hosts, (_, isGone) => {
    if (isGone) all()
  })
  return (event) => {
    if (event.type === 'Image') enqueueAll(enqueue, images.by('path', event.path))
    if (event.type === 'Host') all()
  }
}
