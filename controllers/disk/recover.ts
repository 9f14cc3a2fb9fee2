import { DiskReason, type Disk } from '../../crds/disk.ts'
import { originOf, targetOf, type RecycledResource } from '../../crds/recycled-resource.ts'
import { decided, done, waiting, type Outcome } from '../../lib/reconcile/outcome.ts'
import { disksOfMachine, type HeldDisk } from '../../policy/recycled-contents.ts'
import { askOrigin, dropEmptyEntry } from '../recycle-bin/origin.ts'
import { claimForMaker } from './maker.ts'
import type { Scope } from './scope.ts'

/** Gives a Disk that comes from the recycle bin the file that it had. Nothing for one that is new, or has its file. */
export async function recoverFile(scope: Scope): Promise<Outcome | undefined> {
  const { disk, status, deps } = scope
  if (status.id !== undefined) return undefined
  const origin = await askOrigin(deps.bin, disk, (entry) => isFor(disk, entry))
  if (origin.type === 'New') return undefined
  if (origin.type === 'Withheld') return origin.outcome
  if (!isItsTurn(scope, origin.entry)) {
    return waiting(DiskReason.Recovering, 'It comes back once the first disk of its machine is back')
  }
  bind(scope, origin.contents.host, heldFor(disk, origin.entry))
  return decided
}

/**
 * What comes first when such a Disk is deleted. One that is being brought back gets its file before it is put away, so
 * that the file is in one entry again. One that has none yet leaves it in the entry that it named.
 */
export async function settleOrigin(scope: Scope): Promise<Outcome | undefined> {
  const { disk, status, deps } = scope
  const name = originOf(disk.metadata)
  if (name === undefined || (status.id !== undefined && !deps.bin.find(name))) return undefined
  const entry = await deps.bin.read(name)
  if (entry && isFor(disk, entry)) {
    const message = 'It is being brought back from the recycle bin, and goes there again then'
    return (await recoverFile(scope)) ?? waiting(DiskReason.PuttingAway, message)
  }
  if (!entry || status.id !== undefined) return undefined
  await dropEmptyEntry(deps.bin, disk)
  return done
}

function bind(scope: Scope, host: string | undefined, held: HeldDisk | undefined): void {
  const { disk, status } = scope
  if (!held || host === undefined) {
    status.id = disk.metadata.uid // It was never made, and is made as a new one.
    return
  }
  status.dataStorage = held.dataStorage
  status.host = host
  status.id = held.id
  status.size = held.size
  claimForMaker(scope)
}

function isFor(disk: Disk, entry: RecycledResource): boolean {
  const { namespace, name } = disk.metadata
  const target = targetOf(entry)
  if (entry.status?.phase !== 'Recovering' || namespace !== target.namespace) return false
  return entry.spec.resource.kind === 'VirtualMachine' ? heldFor(disk, entry) !== undefined : name === target.name
}

/**
 * A Disk that a manifest made before its machine is there first; but while nothing of the machine was made, all can still
 * go back into the bin, and then no Disk may have a file of it.
 */
function isItsTurn({ disk, deps }: Scope, entry: RecycledResource): boolean {
  const { kind } = entry.spec.resource
  const disks = kind === 'VirtualMachine' ? disksOfMachine(entry, targetOf(entry).name) : []
  const first = disks.find(({ held }) => held.manifest)
  if (!first || first.name === disk.metadata.name) return true
  return deps.disksOfFile(first.held.id).some(({ status }) => status?.id === first.held.id)
}

/** What the entry has for a Disk of this name; nothing for one that was never made. */
function heldFor({ metadata: { name } }: Disk, entry: RecycledResource): HeldDisk | undefined {
  const { resource, contents } = entry.spec
  if (resource.kind !== 'VirtualMachine') return contents?.disks?.[0]
  return disksOfMachine(entry, targetOf(entry).name).find((one) => one.name === name)?.held
}
