import { fileIdOf, type Disk } from '../../crds/disk.ts'
import type { RecycledResource } from '../../crds/recycled-resource.ts'
import { rootDiskName } from '../../crds/virtual-machine.ts'
import { decidedBy } from '../../policy/deletion.ts'
import { markedDisks, whyItStays } from '../../policy/further-disks.ts'
import type { Scope } from './scope.ts'

/** What becomes of the disks of a machine that is put away. */
export interface Parting {
  /** They go into the recycle bin with it, the root disk first. */
  readonly going: readonly Disk[]
  /** Uids of those that its entry has, and that are to stay after all: nothing was done to them yet. */
  readonly staying: readonly string[]
}

/**
 * Which Disks go with a machine is decided by what its entry has when that is filled, for one that went already is not
 * there any more; but as long as one was not told to go, somebody can still want it kept. It is looked at as the API server
 * has it, for there may be no way back.
 */
export async function partDisks(scope: Scope, entry: RecycledResource): Promise<Parting> {
  const { machineId } = scope.status
  if (machineId === undefined) return { going: [], staying: [] }
  const root = scope.deps.disksOf(machineId).filter((disk) => isOwnRoot(scope, disk))
  const isRoot = ({ metadata }: Disk) => root.some((own) => own.metadata.uid === metadata.uid)
  const { contents } = entry.spec
  const named = contents ? heldDisks(scope, contents.disks ?? []) : markedOf(scope)
  const further = await lookAt(
    scope,
    named.filter((disk) => !isRoot(disk)),
  )
  const isTold = ({ metadata }: Disk) => contents !== undefined && metadata.deletionTimestamp !== undefined
  const goes = (disk: Disk) => isTold(disk) || mayGo(scope, disk, entry)
  return {
    going: [...root, ...further.filter(goes)],
    staying: further.filter((disk) => !goes(disk)).map(({ metadata }) => metadata.uid),
  }
}

function heldDisks(
  { namespace, deps }: Scope,
  held: readonly { readonly name: string; readonly uid: string }[],
): Disk[] {
  return held.flatMap(({ name, uid }) => {
    const disk = deps.disk(namespace, name)
    return disk?.metadata.uid === uid ? [disk] : []
  })
}

function markedOf({ vm, namespace, deps }: Scope): Disk[] {
  return markedDisks(vm).flatMap((name) => deps.disk(namespace, name) ?? [])
}

async function lookAt({ deps }: Scope, disks: readonly Disk[]): Promise<Disk[]> {
  return (await Promise.all(disks.map(async (disk) => deps.readDisk(disk)))).filter((disk) => disk !== undefined)
}

/** Whether nothing speaks against it that the disk goes. */
function mayGo(scope: Scope, disk: Disk, { spec }: RecycledResource): boolean {
  const { vm, status, namespace, deps } = scope
  const { name, uid, deletionTimestamp } = disk.metadata
  const own = deletionTimestamp === undefined ? undefined : deps.bin.find(uid)
  const why = whyItStays({
    vm: { ...vm, status },
    disk,
    decision: decidedBy(spec.deletion),
    stamped: own && decidedBy(own.spec.deletion),
    settings: deps.bin.settings(),
    users: deps.usersOf(namespace, name),
  })
  return why === undefined && !isOfAnotherGuest(scope, disk)
}

/** Whether its host has another machine with the file, whatever our records say: they may be older than what runs. */
function isOfAnotherGuest({ status, deps }: Scope, disk: Disk): boolean {
  const holder = deps.fleet.get(status.host ?? '')?.machines.holderOf(fileIdOf(disk))
  return holder !== undefined && holder.id !== status.machineId
}

/** Somebody may have copied its manifest, label and all: a copy is not ours to delete. */
function isOwnRoot({ vm, namespace }: Scope, { metadata }: Disk): boolean {
  const isMade = vm.spec.rootDisk.imageRef !== undefined
  return isMade && metadata.namespace === namespace && metadata.name === rootDiskName(vm)
}
