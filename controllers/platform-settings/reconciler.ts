import type { PlatformSettings } from '../../crds/platform-settings.ts'
import type { Reconciler } from '../../lib/reconcile/reconcile.ts'
import { listBrakes } from './phases/brakes.ts'
import type { Deps, Scope } from './scope.ts'

/** Settings are read where they are needed; what is said of them is that they were seen, and whom they hold back. */
export function platformSettingsReconciler(deps: Deps): Reconciler<PlatformSettings, Scope> {
  return {
    phases: [listBrakes],
    open(settings) {
      settings.status ??= {}
      return { settings, status: settings.status, deps }
    },
  }
}
