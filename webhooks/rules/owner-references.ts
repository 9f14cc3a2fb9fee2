import * as z from 'zod'
import type { Resource } from '../../crds/kind.ts'
import { listOf } from '../lists.ts'
import { permissionOn, type Guarded } from './write.ts'

/**
 * Another owner, which is gone or goes, has the garbage collector delete the object. So who may only change an object must
 * not give it one. That an owner which is there blocks its own delete, or no longer does, is no other owner.
 */
export const newOwners: Guarded = {
  needs({ kind, object, before }) {
    return before && hasNewOwner(object, before) ? permissionOn('delete', kind, object) : undefined
  },
  message({ person, kind }) {
    return `${person} may not add to metadata.ownerReferences, for an object goes with its owners: leave it as it was, or ask for the permission delete on ${kind.plural}`
  },
}

/** Whether an object belongs to an object that it did not belong to before. */
export function hasNewOwner(object: Resource, before: Resource): boolean {
  const known = new Set(ownersOf(before))
  return ownersOf(object).some((owner) => !known.has(owner))
}

/** Whether an object belongs to any other. */
export function hasOwner(object: Resource): boolean {
  return ownersOf(object).length > 0
}

/** Whether an object has a finalizer that it did not have before. */
export function hasNewFinalizer({ metadata }: Resource, before: Resource): boolean {
  const known = new Set(before.metadata.finalizers)
  return (metadata.finalizers ?? []).some((finalizer) => !known.has(finalizer))
}

const reference = z.object({ apiVersion: z.string(), kind: z.string(), name: z.string(), uid: z.string() })
const owned = z.looseObject({ ownerReferences: listOf(reference).default([]) })

// The uid alone does not do: with another kind the same one is not found.
function ownersOf({ metadata }: Resource): string[] {
  return owned
    .parse(metadata)
    .ownerReferences.map(({ apiVersion, kind, name, uid }) => JSON.stringify([apiVersion, kind, name, uid]))
}
