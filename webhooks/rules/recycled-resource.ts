import { isDeepStrictEqual } from 'node:util'
import * as z from 'zod'
import { OWNER_LABEL } from '../../crds/deletion.ts'
import { Disk } from '../../crds/disk.ts'
import { ownedKinds } from '../../crds/index.ts'
import type { Kind, Resource } from '../../crds/kind.ts'
import { RECYCLED_USER_FIELDS, RecycledResource } from '../../crds/recycled-resource.ts'
import { takenAlong } from '../../policy/recycled-contents.ts'
import { hasNewFinalizer, hasNewOwner } from './owner-references.ts'
import { refuse } from './rule.ts'
import { marksIn } from './virtual-machine.ts'
import { permissionOn, type Change, type Guarded, type Permission, type WriteFacts } from './write.ts'

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

/** Whether a change asks for a purge. */
export function asksForPurge({ kind, object, before }: Pick<Change, 'kind' | 'object' | 'before'>): boolean {
  return kind.kind === RecycledResource.kind && actionOf(object) === 'Purge' && actionOf(before) !== 'Purge'
}

/** Purge is a permission: to ask for it, and to take it back. */
export const purgeChange: Guarded = {
  needs({ kind, object, before }) {
    const isAsked = actionOf(object) === 'Purge'
    return isAsked === (actionOf(before) === 'Purge') ? undefined : permissionOn('purge', kind, object)
  },
  message: ({ person }) =>
    `${person} may not purge what was deleted, nor call that off: ask for the permission purge on recycledresources`,
}

/**
 * Recover is a permission too. It is asked of whoever says where to, also before anybody says Recover: who says that later
 * may be somebody who may do more.
 */
export const recoverChange: Guarded = {
  needs({ kind, object, before }) {
    return concernsRecovery(object, before) ? permissionOn('recover', kind, object) : undefined
  },
  message: ({ person }) =>
    `${person} may not recover what was deleted: ask for the permission recover on recycledresources`,
}

/** What somebody else owned is brought back by who may give away what is in the namespace that it was in. */
export const recoverOfOthers: Guarded = {
  needs({ object, before, owner }) {
    const was = (before ?? object).metadata.labels?.[OWNER_LABEL]
    const deleted = deletedOf(before ?? object)
    if (!deleted || was === undefined || was === owner || !concernsRecovery(object, before)) return undefined
    const { kind, namespace, name } = deleted
    return { verb: 'setOwner', group: kind.group, plural: kind.plural, namespace, name }
  },
  message({ person, object, before }) {
    const was = (before ?? object).metadata.labels?.[OWNER_LABEL]
    const plural = deletedOf(before ?? object)?.kind.plural
    return `${person} may not bring back what ${was} owns: let them do it, or ask for the permission setOwner on ${plural}`
  },
}

/** The controllers make it for somebody, who has to be one who may make it. */
export const recoverInto: Guarded = {
  needs: creationOf,
  message({ person, object, before }, { namespace }) {
    const { kind, plural } = deletedOf(before ?? object)?.kind ?? {}
    return `${person} may not bring back a ${kind} into namespace ${namespace}: ask for the permission create on ${plural} there, or write another namespace into spec.recoverAs`
  },
}

/** Nor are the Disks that a machine took along made for somebody who may make none there. */
export const recoverDisksInto: Guarded = {
  needs(change) {
    const creation = creationOf(change)
    const { group, plural } = Disk
    return creation && hasFurtherDisks(change.before ?? change.object) ? { ...creation, group, plural } : undefined
  },
  message: ({ person }, { namespace }) =>
    `${person} may not bring back the Disks of a machine into namespace ${namespace}: ask for the permission create on ${Disk.plural} there, or write another namespace into spec.recoverAs`,
}

/** In another namespace its marks are on the Disks of that: to set them takes `delete` there. */
export const recoverMarksInto: Guarded = {
  needs(change) {
    const creation = creationOf(change)
    const entry = change.before ?? change.object
    if (!creation || creation.namespace === deletedOf(entry)?.namespace || !hasMarks(entry)) return undefined
    const { group, plural } = Disk
    return { ...creation, verb: 'delete', group, plural }
  },
  message: ({ person }, { namespace }) =>
    `${person} may not bring back a machine into namespace ${namespace} that has Disks deleted with it: ask for the permission delete on ${Disk.plural} there, or write another namespace into spec.recoverAs`,
}

/** What making the object takes that a change asks for. */
function creationOf({ object, before }: Change): Permission | undefined {
  const isWanted = actionOf(object) === 'Recover' || !isDeepStrictEqual(recoverAsOf(object), recoverAsOf(before))
  const deleted = deletedOf(before ?? object)
  if (!deleted || !isWanted || !concernsRecovery(object, before)) return undefined
  const { group, plural } = deleted.kind
  return { verb: 'create', group, plural, namespace: targetNamespace(object, deleted) }
}

const machineManifest = z.looseObject({ spec: z.looseObject({}) })

/** Whether what was deleted is a machine with marked disks. What cannot be read, or is not put away yet, may be one. */
function hasMarks(entry: Resource): boolean {
  if (deletedOf(entry)?.kind.kind !== 'VirtualMachine') return false
  const { data: spec } = RecycledResource.spec.safeParse(entry.spec)
  const { data: manifest } = machineManifest.safeParse(spec?.contents?.manifest)
  return manifest === undefined || marksIn(manifest.spec).length > 0
}

/**
 * Whether what was deleted is a machine that took more along than its root disk. What cannot be read, or is not put away yet,
 * may be one: until its guest is off, its spec can be changed.
 */
function hasFurtherDisks(entry: Resource): boolean {
  if (deletedOf(entry)?.kind.kind !== 'VirtualMachine') return false
  const { data: spec } = RecycledResource.spec.safeParse(entry.spec)
  return spec?.contents === undefined || takenAlong({ spec }).length > 0
}

/** Whether a change asks for a recovery, calls it off, or moves it. */
function concernsRecovery(object: Resource, before: Resource | undefined): boolean {
  const isAsked = actionOf(object) === 'Recover'
  return isAsked !== (actionOf(before) === 'Recover') || !isDeepStrictEqual(recoverAsOf(object), recoverAsOf(before))
}

function actionOf(object: Resource | undefined): unknown {
  return object?.spec['action']
}

function recoverAsOf(object: Resource | undefined): unknown {
  return object?.spec['recoverAs']
}

const resource = z.object({ kind: z.string(), namespace: z.string(), name: z.string() })
const elsewhere = z.object({ namespace: z.string() })

interface Deleted {
  readonly kind: Kind
  readonly namespace: string
  readonly name: string
}

/** What an entry stands for. Nothing where the schema refuses it. */
function deletedOf({ spec }: Resource): Deleted | undefined {
  const { data } = resource.safeParse(spec['resource'])
  const kind = ownedKinds.find((owned) => owned.kind === data?.kind)
  return data && kind ? { ...data, kind } : undefined
}

function targetNamespace(object: Resource, { namespace }: Deleted): string {
  return elsewhere.safeParse(recoverAsOf(object)).data?.namespace ?? namespace
}

function recordOf({ spec }: Resource): object {
  const isRecord = ([field]: [string, unknown]) => !RECYCLED_USER_FIELDS.some((own) => own === field)
  return Object.fromEntries(Object.entries(spec).filter(isRecord))
}
