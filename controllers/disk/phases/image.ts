import { DiskCondition, DiskReason } from '../../../crds/disk.ts'
import { originOf } from '../../../crds/recycled-resource.ts'
import { blocked, done, waiting } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { imageObjection } from '../../../policy/image-use.ts'
import type { Scope } from '../scope.ts'

/** Waits for the image that the disk is made from. A disk that is made or comes back needs its image no more. */
export const requireImage: Phase<Scope> = {
  condition: DiskCondition.ImageReady,

  run({ disk, status, namespace, deps }) {
    const name = disk.spec.source?.image?.name
    const comesBack = originOf(disk.metadata) !== undefined && status.id === undefined
    if (name === undefined || status.size !== undefined || comesBack) return done
    const objection = imageObjection(deps.image(namespace, name), { namespace, name, size: disk.spec.size })
    if (!objection) return done
    const reason = DiskReason[objection.reason]
    return objection.final ? blocked(reason, objection.message) : waiting(reason, objection.message)
  },
}
