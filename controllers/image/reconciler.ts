import { Image } from '../../crds/image.ts'
import type { Reconciler } from '../../lib/reconcile/reconcile.ts'
import { compareFiles } from './phases/compare.ts'
import { removeImage } from './phases/remove.ts'
import { verifyImage } from './phases/verify.ts'
import type { Deps, Scope } from './scope.ts'

/** Hosts are asked again, in case the file was put there or exchanged: they do not tell. */
const LOOK_AGAIN_MS = 60_000

/** From a manifest to a file that is known to be safe, and to be the same on every host that has it. */
export function imageReconciler(deps: Deps): Reconciler<Image, Scope> {
  const toldAtMs = new Map<string, number>()
  return {
    ...(Image.finalizer !== undefined && { finalizer: Image.finalizer }),
    phases: [verifyImage, compareFiles],
    cleanup: [removeImage],
    resyncMs: LOOK_AGAIN_MS,
    open(image) {
      image.status ??= {}
      return { image, status: image.status, deps, toldAtMs, answers: [] }
    },
  }
}
