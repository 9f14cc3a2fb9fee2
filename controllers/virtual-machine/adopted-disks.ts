import { fileIdOf, type Disk } from '../../crds/disk.ts'
import { diskNames, makerOf, rootDiskName } from '../../crds/virtual-machine.ts'
import type { Scope } from './scope.ts'

/** A disk of a machine that is to be adopted. */
interface Held {
  readonly machineId: string
  /** Name of its file. */
  readonly id: string
  readonly isRoot: boolean
}

/**
 * What is to be done before a machine can be adopted with this disk; nothing where the manifest names it. Whatever it does
 * not name would be taken from the guest, be it the disk that it booted from.
 */
export function whyNotNamed(scope: Scope, held: Held): string | undefined {
  const { vm, namespace, deps } = scope
  const isFile = (disk: Disk) => fileIdOf(disk) === held.id
  const named = diskNames(vm).flatMap((name) => deps.disk(namespace, name) ?? [])
  const found = named.find(isFile)
  if (found) return isNamedAsRoot(scope, held, found) ? undefined : bootFrom(found)
  const isMadeOfIt = held.isRoot && vm.spec.rootDisk.imageRef !== undefined
  const known = deps.disksOfFile(held.id).find(isFile)
  if (known)
    return known.metadata.namespace === namespace ? howToName(known, held.isRoot) : elsewhere(held.id, namespace)
  const [entry] = deps.bin.ofFile(held.id)
  if (entry) return `recover entry ${entry.metadata.name} of the recycle bin, and name its Disk`
  const asking = named.find(({ spec }) => spec.source?.existing?.id === held.id)
  if (asking) return `Disk ${asking.metadata.name} has yet to be made of ${held.id}: see its message`
  if (!isMadeOfIt) return `make a Disk of ${held.id} with spec.source.existing, and name it in ${fieldOf(held.isRoot)}`
  const taken = deps.disk(namespace, rootDiskName(vm))
  return taken && `Disk ${taken.metadata.name} is another one: use another name for that`
}

/** The Disk of an image is the machine's own; any other one it boots from by name. */
function isNamedAsRoot({ vm, namespace, deps }: Scope, { isRoot, machineId }: Held, found: Disk): boolean {
  if (vm.spec.rootDisk.imageRef === undefined) return true
  const isOwnRoot = deps.disk(namespace, rootDiskName(vm))?.metadata.uid === found.metadata.uid
  return isRoot ? isOwnRoot && makerOf(found.metadata) === machineId : !isOwnRoot
}

function bootFrom({ metadata: { name } }: Disk): string {
  return `boot from Disk ${name} with rootDisk.diskRef in place of rootDisk.imageRef`
}

function howToName(disk: Disk, isRoot: boolean): string {
  return isRoot ? bootFrom(disk) : `name Disk ${disk.metadata.name} in spec.disks`
}

/** Nobody learns here what is in another namespace. */
function elsewhere(id: string, namespace: string): string {
  return `the Disk of ${id} is in another namespace: delete it into the recycle bin, recover its entry with spec.recoverAs.namespace ${namespace}, and name it`
}

function fieldOf(isRoot: boolean): string {
  return isRoot ? 'rootDisk.diskRef' : 'spec.disks'
}
