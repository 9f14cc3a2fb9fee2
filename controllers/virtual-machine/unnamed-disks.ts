import type { ObservedMachine } from '../../agent/contract.ts'
import { fileIdOf, type Disk } from '../../crds/disk.ts'
import { diskNames } from '../../crds/virtual-machine.ts'
import type { Scope } from './scope.ts'

/**
 * A disk that the guest has and that the spec does not name. One that was plugged in after the state was stored which
 * the platform was restored from is not taken from it.
 */
export interface UnnamedDisk {
  readonly id: string
  /** Undefined where no Disk in the machine's namespace stands for the file. */
  readonly disk: Disk | undefined
}

/** Those of a guest that runs. One that it was asked to give back is among them until it has. */
export function unnamedDisks({ vm, namespace, deps }: Scope, { power, disks = [] }: ObservedMachine): UnnamedDisk[] {
  if (power !== 'Running') return []
  const named = new Set(diskNames(vm).flatMap((name) => fileOf(deps.disk(namespace, name))))
  return disks
    .filter(({ id }) => !named.has(id))
    .map(({ id }) => ({ id, disk: deps.disksOfFile(id).find((disk) => standsFor(disk, namespace, id)) }))
}

/** One that only asks for the file does not. */
function standsFor(disk: Disk, namespace: string, id: string): boolean {
  return disk.metadata.namespace === namespace && fileIdOf(disk) === id
}

function fileOf(disk: Disk | undefined): string[] {
  return disk ? [fileIdOf(disk)] : []
}

/** Tells which Disks are in use though no record says so. A host that does not answer has nothing to say about that. */
export function noteUnnamedDisks(scope: Scope): void {
  const { status, deps } = scope
  const { machineId = '', host = '' } = status
  const fleetHost = deps.fleet.get(host)
  if (fleetHost?.state !== 'Connected') return
  const machine = fleetHost.machines.get(machineId)
  // What is claimed for the machine says so itself.
  const isClaimed = ({ status: its }: Disk) => its?.attachedTo?.machineId === machineId
  const unnamed = machine ? unnamedDisks(scope, machine) : []
  const names = unnamed.flatMap(({ disk }) => (disk && !isClaimed(disk) ? disk.metadata.name : []))
  if (names.length === 0) delete status.unnamedDisks
  else status.unnamedDisks = names.toSorted()
}
