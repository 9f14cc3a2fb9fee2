import type { Host } from '../../crds/host.ts'
import type { Reconciler } from '../../lib/reconcile/reconcile.ts'
import { connectHost } from './phases/connect.ts'
import { requireHypervisor } from './phases/hypervisor.ts'
import { listOrphans } from './phases/orphans.ts'
import { requireState } from './phases/state.ts'
import type { Deps, Scope } from './scope.ts'

/** From an address to a host that machines can be placed on. */
export function hostReconciler(deps: Deps): Reconciler<Host, Scope> {
  return {
    phases: [connectHost, requireHypervisor, requireState, listOrphans],
    open(host) {
      host.status ??= {}
      return { host, status: host.status, deps }
    },
  }
}
