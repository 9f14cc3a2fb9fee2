import type { Image } from '../../crds/image.ts'
import type { Reconciler } from '../../lib/reconcile/reconcile.ts'
import { verifyImage } from './phases/verify.ts'
import type { Deps, Scope } from './scope.ts'

/** From a manifest to a file that is known to be safe, and to be the same on every host that has it. */
export function imageReconciler(deps: Deps): Reconciler<Image, Scope> {
  return {
    phases: [verifyImage],
    open(image) {
      image.status ??= {}
      return { image, status: image.status, deps }
    },
  }
}
