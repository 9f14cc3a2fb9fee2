import { isDeepStrictEqual } from 'node:util'
import * as z from 'zod'
import type { Kind, Resource } from '../../crds/kind.ts'
import { removalOf } from '../../policy/brake.ts'
import { permissionOn, type Guarded } from './write.ts'

const releases = z
  .object({ deletion: z.object({ brakeReleases: z.array(z.looseObject({ kind: z.string() })).default([]) }) })
  .transform(({ deletion }) => deletion.brakeReleases)
  .catch([])

/** Letting somebody through the mass-delete brake. One for each kind that it guards. */
export function releaseOfBrake(guarded: Kind): Guarded {
  return {
    needs({ object, before }) {
      const old = before ? releasesOf(before, guarded) : []
      const isAdded = releasesOf(object, guarded).some((release) => !old.some((one) => isDeepStrictEqual(one, release)))
      if (!isAdded) return undefined
      const { verb, group, plural } = permissionOn('bulkDelete', guarded, object)
      return { verb, group, plural }
    },
    message({ person }) {
      const { verb, things } = removalOf(guarded.kind)
      return `${person} may not release the brake on those who ${verb} ${things}: ask for the permission bulkDelete on ${guarded.plural}`
    },
  }
}

function releasesOf({ spec }: Resource, { kind }: Kind) {
  return releases.parse(spec).filter((release) => release.kind === kind)
}
