import { DiskCondition, DiskReason } from '../../../crds/disk.ts'
import { blocked, decided, done, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { pickRoomiest, storageObjection } from '../../../policy/placement.ts'
import { toBytes } from '../../../policy/quantity.ts'
import type { Scope } from '../scope.ts'

/** Chooses the data storage, once. One that the spec names is a decision that is stored already. */
export const placeDisk: Phase<Scope> = {
  condition: DiskCondition.Placed,

  run(scope) {
    if (scope.status.dataStorage !== undefined) return done
    return scope.disk.spec.dataStorage === undefined ? choose(scope) : follow(scope, scope.disk.spec.dataStorage)
  },
}

function follow({ disk, status, deps: { candidates } }: Scope, name: string): Outcome {
  const storage = candidates.storage(name)
  if (!storage) return blocked(DiskReason.DataStorageNotFound, `There is no DataStorage ${name}: create it`)
  // The disk itself is counted there already, so only its state and not its room is asked.
  if (storage.obstacle !== undefined)
    return waiting(DiskReason.DataStorageNotReady, `DataStorage ${name} ${storage.obstacle}`)
  status.dataStorage = name
  status.host = storage.host
  status.id ??= disk.metadata.uid
  return done
}

function choose({ disk, status, namespace, deps: { candidates, image } }: Scope): Outcome {
  const source = disk.spec.source?.image?.name
  const hosts = source === undefined ? undefined : image(namespace, source)?.status?.hosts
  const sizeBytes = toBytes(disk.spec.size)
  const storages = candidates.storages().filter(({ host }) => hosts?.includes(host) ?? true)
  const best = pickRoomiest(storages, sizeBytes, candidates.settings())
  if (!best) {
    const reasons = storages.map((storage) => storageObjection(storage, sizeBytes, candidates.settings())).slice(0, 5)
    return waiting(
      DiskReason.NoDataStorageFits,
      `No DataStorage fits: ${reasons.join('; ') || 'there is none that its image reaches'}`,
    )
  }
  status.dataStorage = best.name
  status.host = best.host
  status.id ??= disk.metadata.uid
  return decided
}
