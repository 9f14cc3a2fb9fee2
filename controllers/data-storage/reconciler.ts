import type { DataStorage } from '../../crds/data-storage.ts'
import type { Reconciler } from '../../lib/reconcile/reconcile.ts'
import { probeStorage } from './phases/probe.ts'
import type { Deps, Scope } from './scope.ts'

const PROBE_MS = 30_000

/** Keeps an eye on a folder that disks are kept in. */
export function dataStorageReconciler(deps: Deps): Reconciler<DataStorage, Scope> {
  return {
    phases: [probeStorage],
    resyncMs: PROBE_MS,
    open(storage) {
      storage.status ??= {}
      return { storage, status: storage.status, deps }
    },
  }
}
