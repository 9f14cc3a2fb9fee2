import { Disk } from '../../crds/disk.ts'
import type { Reconciler } from '../../lib/reconcile/reconcile.ts'
import { noteHolder } from './holder.ts'
import { isClaimForMaker } from './maker.ts'
import { growDisk } from './phases/grow.ts'
import { requireImage } from './phases/image.ts'
import { placeDisk } from './phases/place.ts'
import { provisionDisk } from './phases/provision.ts'
import { removeDisk } from './phases/remove.ts'
import { openScope, type Deps, type Scope } from './scope.ts'

/** From a manifest to a file on a data storage. */
export function diskReconciler(deps: Deps): Reconciler<Disk, Scope> {
  return {
    finalizer: Disk.finalizer ?? '',
    phases: [requireImage, placeDisk, provisionDisk, growDisk],
    cleanup: [removeDisk],
    open(disk) {
      const scope = openScope(disk, deps)
      noteHolder(scope)
      return scope
    },

    // The controller of virtual machines attaches other disks, and owns that field there.
    owned(status, { metadata }) {
      if (isClaimForMaker({ metadata, status })) return status
      const { attachedTo: _, ...own } = status
      return own
    },
  }
}
