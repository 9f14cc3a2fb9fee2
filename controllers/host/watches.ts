import type { Caches } from '../cluster/caches.ts'
import type { Enqueue } from '../cluster/watch.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { FleetEvent } from '../fleet/fleet-host.ts'

/** Keeps the fleet's connections as the Host objects say, and looks at a host again when its connection changes. */
export function watchHosts({ hosts }: Caches, fleet: Fleet, enqueue: Enqueue): (event: FleetEvent) => void {
  hosts.onChange((before, after) => {
    if (after) fleet.put(after.metadata.name, after.spec)
    else if (before) fleet.remove(before.metadata.name)
  })
  return (event) => {
    if (event.type === 'Host') enqueue(event.host)
  }
}
