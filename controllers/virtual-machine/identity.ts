import { VirtualMachineReason, type VirtualMachine } from '../../crds/virtual-machine.ts'
import { blocked, type Outcome } from '../../lib/reconcile/outcome.ts'
import type { Scope } from './scope.ts'

/**
 * Why nothing may be ordered under the identity in the status: it is another machine's, whose guest would be stopped.
 * The name that the host knows it by decides; where the host knows none, the older of two machines has it.
 */
export function identityObjection({ vm, status, namespace, name, deps }: Scope): Outcome | undefined {
  const { machineId, host = '' } = status
  if (machineId === undefined) return undefined
  const own = `${namespace}/${name}`
  const known = deps.fleet.get(host)?.machines.get(machineId)?.name
  if (known === own) return undefined
  if (known !== undefined) return isThere(deps, known) ? taken(known) : left(namespace, known, machineId)
  const elder = deps.machinesOf(machineId).find((other) => isElder(other, vm))
  return elder && taken(`${elder.metadata.namespace}/${elder.metadata.name}`)
}

function isThere({ virtualMachine }: Scope['deps'], known: string): boolean {
  const [namespace = '', name = ''] = known.split('/')
  return virtualMachine(namespace, name) !== undefined
}

/** As when a machine was brought back under another name after the state was stored that the platform was restored from. */
function left(namespace: string, other: string, machineId: string): Outcome {
  const how = other.startsWith(`${namespace}/`)
    ? `apply ${other} with spec.adopt.machineId ${machineId}, this one's root disk in rootDisk.diskRef, and its further disks in spec.disks`
    : `delete its Disks into the recycle bin, recover them into that namespace, and apply ${other} there with spec.adopt.machineId ${machineId}, its root disk in rootDisk.diskRef, and its further disks in spec.disks`
  return blocked(
    VirtualMachineReason.IdentityTaken,
    `Its status.machineId is the identity of VirtualMachine ${other}, which is not there, while its guest is: take the finalizers off this one, and ${how}`,
  )
}

function taken(other: string): Outcome {
  return blocked(
    VirtualMachineReason.IdentityTaken,
    `Its status.machineId is the identity of VirtualMachine ${other}, so nothing is done for it: create it anew under another name; to delete this one, take off its finalizers`,
  )
}

function isElder({ metadata: other }: VirtualMachine, { metadata: own }: VirtualMachine): boolean {
  if (other.uid === own.uid) return false
  if (other.creationTimestamp === own.creationTimestamp) return other.uid < own.uid
  return Date.parse(other.creationTimestamp) < Date.parse(own.creationTimestamp)
}
