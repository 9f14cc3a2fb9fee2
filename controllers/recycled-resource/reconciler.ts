import type { RecycledResource } from '../../crds/recycled-resource.ts'
import type { Reconciler } from '../../lib/reconcile/reconcile.ts'
import { carryOut } from './phases/act.ts'
import { awaitObject } from './phases/put-away.ts'
import type { Deps, Scope } from './scope.ts'

/** From a delete to its end: brought back, or destroyed. */
export function recycledResourceReconciler(deps: Deps): Reconciler<RecycledResource, Scope> {
  return {
    phases: [awaitObject, carryOut],
    open(entry) {
      entry.status ??= {}
      return { entry, status: entry.status, deps }
    },
  }
}
