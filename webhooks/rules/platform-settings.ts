import { isDeepStrictEqual } from 'node:util'
import * as z from 'zod'
import { deletionSettings, type DeletionSettings } from '../../crds/deletion.ts'
import type { Kind, Resource } from '../../crds/kind.ts'
import { removalOf } from '../../policy/brake.ts'
import { defaultDeletion, deletionOf, isRecyclable } from '../../policy/deletion.ts'
import { listOf } from '../lists.ts'
import type { DeleteFacts, DeleteRules } from './delete.ts'
import { refuse } from './rule.ts'
import type { Guarded, Permission } from './write.ts'

/** Deleting PlatformSettings. */
export const deletePlatformSettings: DeleteRules = {
  inUse: [saysNothingOfDeletes],
  consequences: () => ['the settings of the platform are the defaults from then on'],
}

/** To change what they say takes permissions, which are asked for when it is changed. */
function saysNothingOfDeletes({ object }: Pick<DeleteFacts, 'object'>) {
  if (isSame(settingsIn(object), defaultDeletion)) return undefined
  const message = `PlatformSettings ${object.metadata.name} says in spec.deletion what is not the default, and would no longer: take spec.deletion out of it first`
  return refuse('InUse', message)
}

const releases = z
  .object({ deletion: z.object({ brakeReleases: listOf(z.looseObject({ kind: z.string() })).default([]) }) })
  .transform(({ deletion }) => deletion.brakeReleases)
  .catch([])

/** Letting somebody through the mass-delete brake. One for each kind that it guards. */
export function releaseOfBrake(guarded: Kind): Guarded {
  return {
    needs({ object, before }) {
      const old = before ? releasesOf(before, guarded) : []
      const isAdded = releasesOf(object, guarded).some((release) => !old.some((one) => isDeepStrictEqual(one, release)))
      if (!isAdded) return undefined
      return permissionOnAll('bulkDelete', guarded)
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

/** What the settings say of deletes of a kind is the policy of every object that has none of its own. */
export function policyOfKind(guarded: Kind): Guarded {
  const policyIn = (object: Resource | undefined) => {
    const settings = settingsIn(object)
    return settings && isRecyclable(guarded.kind) ? deletionOf(guarded.kind, settings) : settings
  }
  return {
    needs: ({ object, before }) =>
      isSame(policyIn(object), policyIn(before)) ? undefined : permissionOnAll('setDeletionPolicy', guarded),
    message: ({ person }) =>
      `${person} may not change what spec.deletion says of the kind ${guarded.kind}: leave it as it was, or ask for the permission setDeletionPolicy on ${guarded.plural}`,
  }
}

/** How much the brake lets through is for those to say whom it does not hold back. */
export function limitOfBrake(guarded: Kind): Guarded {
  return {
    needs: ({ object, before }) =>
      isSame(settingsIn(object)?.brake, settingsIn(before)?.brake) ? undefined : permissionOnAll('bulkDelete', guarded),
    message: ({ person }) =>
      `${person} may not change spec.deletion.brake: leave it as it was, or ask for the permission bulkDelete on ${guarded.plural}`,
  }
}

/** Settings of an object; of one that is not there the defaults. Undefined where they cannot be read, which are like no others. */
function settingsIn(object: Resource | undefined): DeletionSettings | undefined {
  return deletionSettings.safeParse(object?.spec['deletion'] ?? {}).data
}

/** The API server takes what we cannot read, such as a time in a zone of +24:00: then anything may have been changed. */
function isSame(a: object | undefined, b: object | undefined): boolean {
  return a !== undefined && isDeepStrictEqual(a, b)
}

function permissionOnAll(verb: string, { group, plural }: Kind): Permission {
  return { verb, group, plural }
}
