import { fileIdOf, type Disk } from '../../crds/disk.ts'
import type { RecycledResource } from '../../crds/recycled-resource.ts'
import { rootDiskName } from '../../crds/virtual-machine.ts'
import { markedDisks, whyItStays } from '../../policy/further-disks.ts'
import type { Scope } from './scope.ts'

/**
 * Disks that go into the recycle bin with their machine, the root disk first. Which of those that its spec names is
 * decided once, by what its entry has when that is filled: one that went already is not there any more.
 */
export function disksThatGo(scope: Scope, { spec: { deletion, contents } }: RecycledResource): Disk[] {
  const { vm, status, namespace, deps } = scope
  const { machineId } = status
  if (machineId === undefined) return []
  const root = deps.disksOf(machineId).filter((disk) => isOwnRoot(scope, disk))
  const isRoot = ({ metadata }: Disk) => root.some((own) => own.metadata.uid === metadata.uid)
  if (contents) {
    const held = (contents.disks ?? []).flatMap(({ name, uid }) => {
      const disk = deps.disk(namespace, name)
      return disk?.metadata.uid === uid ? [disk] : []
    })
    return [...root, ...held.filter((disk) => !isRoot(disk))]
  }
  const named = markedDisks(vm).flatMap((name) => deps.disk(namespace, name) ?? [])
  const going = named.filter((disk) => {
    const { name, uid, deletionTimestamp } = disk.metadata
    const stamped = deletionTimestamp === undefined ? undefined : deps.bin.find(uid)?.spec.deletion.policy
    const users = deps.usersOf(namespace, name)
    const settings = deps.bin.settings()
    const marked = { vm: { ...vm, status }, disk, policy: deletion.policy, stamped, settings, users }
    return whyItStays(marked) === undefined && !isOfAnotherGuest(scope, disk)
  })
  return [...root, ...going]
}

/** Whether its host has another machine with the file, whatever our records say: they may be older than what runs. */
function isOfAnotherGuest({ status, deps }: Scope, disk: Disk): boolean {
  const machines = deps.fleet.get(status.host ?? '')?.machines.all() ?? []
  return [...machines].some(
    ({ id, disks = [] }) => id !== status.machineId && disks.some((one) => one.id === fileIdOf(disk)),
  )
}

/** Somebody may have copied its manifest, label and all: a copy is not ours to delete. */
function isOwnRoot({ vm, namespace }: Scope, { metadata }: Disk): boolean {
  const isMade = vm.spec.rootDisk.imageRef !== undefined
  return isMade && metadata.namespace === namespace && metadata.name === rootDiskName(vm)
}
