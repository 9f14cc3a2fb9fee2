import type { Caches } from '../cluster/caches.ts'
import { enqueueAll, onEvery, type Enqueue } from '../cluster/watch.ts'
import type { FleetEvent } from '../fleet/fleet-host.ts'

/** Looks at storages again when their host comes or goes. */
export function watchDataStorages({ dataStorages, hosts }: Caches, enqueue: Enqueue): (event: FleetEvent) => void {
  const on = (host: string) => enqueueAll(enqueue, dataStorages.by('host', host))
  onEvery(hosts, ({ metadata }) => on(metadata.name))
  return (event) => {
    if (event.type === 'Host') on(event.host)
  }
}
