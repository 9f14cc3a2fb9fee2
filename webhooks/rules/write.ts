import { isDeepStrictEqual } from 'node:util'
import * as z from 'zod'
import { OWNER_LABEL, type DeletionSettings } from '../../crds/deletion.ts'
import type { Kind, Resource } from '../../crds/kind.ts'
import type { RecycledResource } from '../../crds/recycled-resource.ts'
import { heldAs, wasTakenAlong } from '../../policy/recovery.ts'
import { refuse, type Rule } from './rule.ts'

/** A permission, as it is asked of the API server. */
export interface Permission {
  readonly verb: string
  readonly group: string
  readonly plural: string
  readonly namespace?: string | undefined
  readonly name?: string | undefined
}

/** What a rule about a create or an update may look at. */
export interface WriteFacts {
  readonly kind: Kind
  readonly object: Resource
  /** Undefined for a create. */
  readonly before: Resource | undefined
  /** User name of who writes. */
  readonly person: string
  /** The value of the owner label for that name. */
  readonly owner: string
  readonly settings: DeletionSettings
  /** What a create brings back; undefined for a new object, and for an update. */
  readonly recovery: Recovery | undefined
  /** What the recycle bin has of this kind and name, the newest first. */
  readonly binned: readonly RecycledResource[]
  /** Whether who writes holds it. Answers for what `needs` named. */
  readonly can: (permission: Permission) => boolean
}

/** An entry of the recycle bin that an object is to come from. */
export interface Recovery {
  readonly name: string
  /** Undefined where there is none of that name. */
  readonly entry: RecycledResource | undefined
  /** Of what was deleted. */
  readonly owner: string | undefined
}

/** What permissions follow from. */
export type Change = Omit<WriteFacts, 'can' | 'binned'>

/** A change that takes permissions of its own, besides that to write the object. */
export interface Guarded {
  readonly needs: (change: Change) => Permission | readonly Permission[] | undefined
  /** Why it is refused without that permission. */
  readonly message: (change: Change, missing: Permission) => string
}

/** All that is asked for a change. */
export function permissionsFor({ needs }: Pick<Guarded, 'needs'>, change: Change): readonly Permission[] {
  return [needs(change) ?? []].flat()
}

/** As a rule: refused without one of the permissions. */
export function guard(guarded: Guarded): Rule<WriteFacts> {
  return (facts) => {
    const missing = permissionsFor(guarded, facts).find((permission) => !facts.can(permission))
    return missing && refuse('NotPermitted', guarded.message(facts, missing))
  }
}

/** `spec.deletionPolicy` of the kinds that have it. What is brought back had one already, which a manifest may not drop. */
export const deletionPolicyChange: Guarded = {
  needs({ kind, object, before, recovery }) {
    const was = before ? policyOf(before) : recoveredPolicy(object, recovery)
    return isDeepStrictEqual(policyOf(object), was) ? undefined : permissionOn('setDeletionPolicy', kind, object)
  },
  message({ person, kind, object, before, recovery }) {
    const was = before ? undefined : recoveredPolicy(object, recovery)
    const how = was === undefined ? 'leave it as it was' : `write ${was} there, as it was`
    return `${person} may not set spec.deletionPolicy: ${how}, or ask for the permission setDeletionPolicy on ${kind.plural}`
  },
}

function policyOf(object: Resource): unknown {
  return object.spec['deletionPolicy']
}

const manifest = z.object({ spec: z.object({ deletionPolicy: z.string().optional() }) })

function recoveredPolicy(object: Resource, recovery: Recovery | undefined): string | undefined {
  const { entry } = recovery ?? {}
  if (!entry) return undefined
  // A Disk that its machine took along has a manifest of its own there.
  const taken = wasTakenAlong(entry, object) ? heldAs(entry, object) : entry.spec.contents
  return manifest.safeParse(taken?.manifest).data?.spec.deletionPolicy
}

/**
 * The owner: whoever makes an object owns it, and what is brought back belongs to whom it belonged. Who drops the label
 * gets it back before this is asked.
 */
export const ownerChange: Guarded = {
  needs({ kind, object, before, owner, recovery }) {
    const now = object.metadata.labels?.[OWNER_LABEL]
    const was = before ? before.metadata.labels?.[OWNER_LABEL] : (recovery?.owner ?? owner)
    return now === was || (!before && now === undefined) ? undefined : permissionOn('setOwner', kind, object)
  },
  message({ person, kind, before, owner }) {
    const what = before ? 'change' : 'set'
    const how = before ? 'leave it as it was' : `leave it out, and it becomes ${owner}`
    return `${person} may not ${what} the label ${OWNER_LABEL}: ${how}, or ask for the permission setOwner on ${kind.plural}`
  },
}

/** A permission on one object. */
export function permissionOn(verb: string, { group, plural }: Kind, { metadata }: Resource): Permission {
  return { verb, group, plural, namespace: metadata.namespace, name: metadata.name === '' ? undefined : metadata.name }
}
