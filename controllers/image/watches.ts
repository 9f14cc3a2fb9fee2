import type { Caches } from '../cluster/caches.ts'
import { enqueueAll, onEvery, type Enqueue } from '../cluster/watch.ts'
import type { FleetEvent } from '../fleet/fleet-host.ts'

/** Looks at images again when a host comes, goes, or has finished a check or a download, and when their entry changes. */
export function watchImages(caches: Caches, enqueue: Enqueue): (event: FleetEvent) => void {
  const { images, hosts, dataStorages, platformSettings, recycled } = caches
  const all = () => enqueueAll(enqueue, images.list())
  onEvery(hosts, (_, isGone) => {
    if (isGone) all()
  })
  // A host needs images once it has a storage, and settings say what may be downloaded.
  dataStorages.onChange((before, after) => {
    if (before?.spec.local.host !== after?.spec.local.host) all()
  })
  platformSettings.onChange(all)
  // What is to come from the recycle bin waits for its entry.
  onEvery(recycled, ({ metadata }) => enqueueAll(enqueue, images.by('origin', metadata.name)))
  return (event) => {
    if (event.type === 'Download') enqueueAll(enqueue, images.by('download', event.sha256))
    if (event.type === 'Image') enqueueAll(enqueue, images.by('path', event.path))
    if (event.type === 'Host') all()
  }
}
