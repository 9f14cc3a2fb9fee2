import { isDeepStrictEqual } from 'node:util'
import type { Resource } from '../../crds/kind.ts'
import { RECYCLED_USER_FIELDS } from '../../crds/recycled-resource.ts'
import { hasNewFinalizer, hasNewOwner } from './owner-references.ts'
import { refuse } from './rule.ts'
import { permissionOn, type Guarded, type WriteFacts } from './write.ts'

const OWN_WAY =
  'set spec.action of the entry to Recover or Purge, and it goes by itself; with Delayed it goes at spec.deletion.purgeAt'

/**
 * Entries come from deletes alone, and what a delete wrote down stays. Owners would have the garbage collector delete it,
 * and a finalizer that nobody takes off would keep it.
 */
export function isNotByHand({ object, before }: WriteFacts) {
  if (!before) return refuse('NotByHand', 'entries of the recycle bin are made by deleting something: leave this out')
  if (hasNewOwner(object, before) || hasNewFinalizer(object, before)) {
    return refuse('NotByHand', 'an entry of the recycle bin has no owners and no finalizers: leave these out')
  }
  if (isDeepStrictEqual(recordOf(object), recordOf(before))) return undefined
  return refuse('NotByHand', 'what was deleted, how and when is fixed: change spec.action and spec.recoverAs alone')
}

/**
 * An entry that is deleted by hand would leave its disks behind, known to nobody. So would one that the garbage collector
 * deletes: nothing owns an entry, unless somebody wrote that by hand.
 */
export function entriesAreNotDeleted() {
  return refuse('NotByHand', `an entry of the recycle bin is not deleted by hand: ${OWN_WAY}`)
}

/** Recover and Purge are permissions. */
export const actionChange: Guarded = {
  needs({ kind, object, before }) {
    const verb = verbOf(object)
    return verb === undefined || (verb === verbOf(before) && isDeepStrictEqual(target(object), target(before)))
      ? undefined
      : permissionOn(verb, kind, object)
  },
  message({ person, object }) {
    const verb = verbOf(object) ?? ''
    return `${person} may not ${verb} what was deleted: ask for the permission ${verb} on recycledresources`
  },
}

function verbOf(object: Resource | undefined): 'recover' | 'purge' | undefined {
  const action = object?.spec['action']
  if (action === 'Recover') return 'recover'
  return action === 'Purge' ? 'purge' : undefined
}

function target(object: Resource | undefined): unknown {
  return object?.spec['recoverAs']
}

function recordOf({ spec }: Resource): object {
  const isRecord = ([field]: [string, unknown]) => !RECYCLED_USER_FIELDS.some((own) => own === field)
  return Object.fromEntries(Object.entries(spec).filter(isRecord))
}
