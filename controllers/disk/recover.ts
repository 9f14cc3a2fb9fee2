import type { Disk } from '../../crds/disk.ts'
import { originOf, targetOf, type RecycledResource } from '../../crds/recycled-resource.ts'
import { decided, type Outcome } from '../../lib/reconcile/outcome.ts'
import type { Scope } from './scope.ts'

/**
 * Gives a Disk that the recycle bin made anew the file that it had. Nothing when no entry is being brought back as this
 * very object, whatever its annotation says: anybody can write that.
 */
export async function recoverFile({ disk, status, deps }: Scope): Promise<Outcome | undefined> {
  const origin = originOf(disk.metadata)
  const entry = origin === undefined ? undefined : await deps.bin.read(origin)
  const { host, disks: [held] = [] } = (entry && isFor(disk, entry) ? entry.spec.contents : undefined) ?? {}
  if (!held || host === undefined) return undefined // It was never made.
  status.dataStorage = held.dataStorage
  status.host = host
  status.id = held.id
  return decided
}

function isFor({ metadata: { namespace, name } }: Disk, entry: RecycledResource): boolean {
  const isUnderWay = entry.status?.phase === 'Recovering'
  return isUnderWay && namespace === targetOf(entry).namespace && name === nameIn(entry)
}

/** A machine has no other disk in its entry than the one that is named after it. */
function nameIn(entry: RecycledResource): string {
  const { name } = targetOf(entry)
  return entry.spec.resource.kind === 'VirtualMachine' ? `${name}-root` : name
}
