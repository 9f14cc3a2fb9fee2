import { DiskReason, type Disk } from '../../crds/disk.ts'
import { blocked, decided, unknown, type Outcome } from '../../lib/reconcile/outcome.ts'
import type { Scope } from './scope.ts'

const LOOK_AGAIN_MS = 30_000

interface File {
  readonly id: string
  readonly storage: string
  readonly host: string
}

/**
 * Makes a file that is there the one that this Disk stands for. A file does not say whose it is; the machine that its
 * host runs with it does: only one of the same namespace counts, so that nobody takes a disk of another one.
 */
export function adoptFile({ disk, status, namespace, deps }: Scope, file: File): Outcome {
  const host = deps.fleet.get(file.host)
  if (host?.state !== 'Connected') {
    return unknown(DiskReason.HostUnreachable, `Host ${file.host} does not answer`, LOOK_AGAIN_MS)
  }
  const users = [...host.machines.all()].filter((machine) =>
    machine.disks?.some(({ id, storage }) => id === file.id && storage === file.storage),
  )
  if (!users.some((machine) => machine.name.startsWith(`${namespace}/`))) {
    const message = `No machine that was started in namespace ${namespace} has a disk ${file.id} on DataStorage ${file.storage}: use an id of status.orphans of its Host`
    return blocked(DiskReason.AdoptionRefused, message, LOOK_AGAIN_MS)
  }
  const [entry] = deps.bin.ofFile(file.id)
  if (entry) {
    const message = `The file ${file.id} is in the recycle bin: recover entry ${entry.metadata.name}`
    return blocked(DiskReason.AdoptionRefused, message, LOOK_AGAIN_MS)
  }
  if (isTaken(disk, file.id, deps)) {
    const message = `The file ${file.id} has a Disk already: use that one`
    return blocked(DiskReason.AdoptionRefused, message, LOOK_AGAIN_MS)
  }
  // At once, for another Disk that asks for the same file may be looked at before this one is stored.
  deps.adopters.set(file.id, disk.metadata.uid)
  status.dataStorage = file.storage
  status.host = file.host
  status.id = file.id
  return decided
}

/** Whether another Disk stands for the file, or is about to. One that only asks for it, and came later, does not count. */
function isTaken({ metadata: { uid: own } }: Disk, id: string, { disksOfFile, adopters }: Scope['deps']): boolean {
  const others = disksOfFile(id).filter(({ metadata }) => metadata.uid !== own)
  return others.some(({ metadata: { uid }, status }) => (status?.id ?? uid) === id || adopters.get(id) === uid)
}
