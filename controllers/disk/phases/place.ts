import { DiskCondition, DiskReason } from '../../../crds/disk.ts'
import { makerOf } from '../../../crds/virtual-machine.ts'
import { blocked, decided, done, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { pickRoomiest, storageObjection } from '../../../policy/placement.ts'
import { toBytes } from '../../../policy/quantity.ts'
import { adoptFile } from '../adopt.ts'
import { recoverFile } from '../recover.ts'
import type { Scope } from '../scope.ts'

const MAX_REASONS = 5

/** Chooses the data storage, once. One that the spec names is a decision that is stored already. */
export const placeDisk: Phase<Scope> = {
  condition: DiskCondition.Placed,

  async run(scope) {
    if (scope.status.dataStorage !== undefined) return done
    const recovered = await recoverFile(scope)
    if (recovered) return recovered
    return scope.disk.spec.dataStorage === undefined ? choose(scope) : follow(scope, scope.disk.spec.dataStorage)
  },
}

function follow(scope: Scope, name: string): Outcome {
  const { disk, status, deps } = scope
  const { candidates } = deps
  const storage = candidates.storage(name)
  if (!storage) return blocked(DiskReason.DataStorageNotFound, `There is no DataStorage ${name}: create it`)
  if (storage.obstacle !== undefined)
    return waiting(DiskReason.DataStorageNotReady, `DataStorage ${name} ${storage.obstacle}`)
  const existing = disk.spec.source?.existing
  if (existing) return adoptFile(scope, { id: existing.id, storage: name, host: storage.host })
  // Room for the root disk of a machine was found and counted when the machine was placed.
  const isReserved = makerOf(disk.metadata) !== undefined
  const objection = isReserved ? undefined : storageObjection(storage, toBytes(disk.spec.size), candidates.settings())
  if (objection !== undefined) {
    const next = 'ask for less, make room there, or name another one'
    return waiting(DiskReason.NoDataStorageFits, `${objection}: ${next}`)
  }
  status.dataStorage = name
  status.host = storage.host
  status.id ??= disk.metadata.uid
  return done
}

function choose({ disk, status, namespace, deps: { candidates, image } }: Scope): Outcome {
  const source = disk.spec.source?.image?.name
  const hosts = source === undefined ? undefined : image(namespace, source)?.status?.hosts
  const sizeBytes = toBytes(disk.spec.size)
  const all = candidates.storages()
  const storages = all.filter(({ host }) => hosts?.includes(host) ?? true)
  const best = pickRoomiest(storages, sizeBytes, candidates.settings())
  if (!best) {
    const reasons = storages.flatMap((storage) => storageObjection(storage, sizeBytes, candidates.settings()) ?? [])
    return waiting(DiskReason.NoDataStorageFits, explain(all.length, reasons))
  }
  status.dataStorage = best.name
  status.host = best.host
  status.id ??= disk.metadata.uid
  return decided
}

function explain(storages: number, objections: readonly string[]): string {
  if (storages === 0) return 'There is no DataStorage: create one'
  if (objections.length === 0) return 'No DataStorage is on a host that has the image: put its file on a host with one'
  const rest = objections.length - MAX_REASONS
  const more = rest > 0 ? `; and ${rest} more` : ''
  return `No DataStorage fits: ${objections.slice(0, MAX_REASONS).join('; ')}${more}: ask for less, make room, or add one`
}
