import type { VirtualMachine } from '../../crds/virtual-machine.ts'
import { keyOf } from '../../lib/kube/paths.ts'
import type { Caches } from '../cluster/caches.ts'
import type { Enqueue } from '../cluster/watch.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { FleetEvent } from '../fleet/fleet-host.ts'
import type { Identity } from './scope.ts'

/**
 * Keeps the fleet's connections as the Host objects say, and looks at a host again when its connection changes, and
 * when one of its machines is without an owner, or no longer.
 */
export function watchHosts(caches: Caches, fleet: Fleet, enqueue: Enqueue): (event: FleetEvent) => void {
  const { hosts, virtualMachines } = caches
  hosts.onChange((before, after) => {
    if (after) fleet.put(after.metadata.name, after.spec)
    else if (before) fleet.remove(before.metadata.name)
  })
  virtualMachines.onChange((before, after) => {
    const [lost, found] = [ownedBy(before), ownedBy(after)]
    if (lost?.machineId === found?.machineId && lost?.host === found?.host) return
    if (lost) enqueue(lost.host)
    if (found && hasOrphans(caches, found.host)) enqueue(found.host)
  })
  return (event) => {
    if (event.type === 'Host') enqueue(event.host)
    if (event.type === 'Machine' && !isOwned(caches, event.machine, event.host)) enqueue(event.host)
  }
}

/**
 * Whether a VirtualMachine that is placed on this host has this identity, and the name that the host knows the machine
 * by: one of another name may not touch the guest.
 */
export function isOwned({ virtualMachines }: Caches, { id, name }: Identity, host: string): boolean {
  const owners = virtualMachines.by('machineId', id)
  return owners.some(({ metadata, status }) => status?.host === host && keyOf(metadata) === name)
}

function hasOrphans({ hosts }: Caches, host: string): boolean {
  return (hosts.get(host)?.status?.orphanCount ?? 0) > 0
}

function ownedBy(vm: VirtualMachine | undefined): { readonly machineId: string; readonly host: string } | undefined {
  const { machineId, host } = vm?.status ?? {}
  return machineId === undefined || host === undefined ? undefined : { machineId, host }
}
