import type * as z from 'zod'
import type { Kind, Resource } from '../../crds/kind.ts'
import { isSameJson, mergePatch, patched } from '../json.ts'
import { withoutManagedFields, type ObjectCache } from './cache.ts'
import type { Call, Kube } from './client.ts'
import { isKubeError } from './errors.ts'
import { collectionPath, objectPath, type Ref } from './paths.ts'

/** An object as it is sent: defaults may be left out. */
export interface Manifest<K extends Kind = Kind> {
  readonly metadata: Ref & {
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
    readonly finalizers?: readonly string[]
    readonly ownerReferences?: readonly OwnerReference[]
  }
  readonly spec: z.input<K['spec']>
}

export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
  readonly blockOwnerDeletion?: boolean
}

/** `gone`: there is no such object. `replaced`: there is another one of this name, which was left alone. */
export type Deletion = 'accepted' | 'gone' | 'replaced'

/**
 * Writes objects of one kind as one field manager. Everything throws KubeError; Conflict means that the object changed
 * since `before` was read. Answers come without managedFields.
 */
export interface ObjectWriter<K extends Kind, R extends Resource = Resource<K>> {
  /**
   * Makes `to` of `from`, which are parts of a status, on top of `before`'s version. What is in neither stays as it is.
   * Sends nothing and returns `before` when nothing differs.
   */
  changeStatus(before: R, { from, to }: StatusChange<R>): Promise<R>
  /** Undefined when the object is gone. */
  addFinalizer(before: R, finalizer: string): Promise<R | undefined>
  /** Undefined when the object is gone, which taking off the last finalizer of a deleted one makes it. */
  removeFinalizer(before: R, finalizer: string): Promise<R | undefined>
  create(manifest: Manifest<K>): Promise<R>
  /** Applies all of our fields but the status, whoever else owns them; those we no longer send go. */
  apply(manifest: Manifest<K>): Promise<{ readonly object: R; readonly changed: boolean }>
  /** With a uid, deletes only that very object; with a version, only in that very state, and fails with Conflict else. */
  delete(ref: Ref, precondition?: Precondition): Promise<Deletion>
}

export interface StatusChange<R extends Resource> {
  readonly from: NonNullable<R['status']>
  readonly to: NonNullable<R['status']>
}

interface Precondition {
  readonly uid: string
  readonly resourceVersion?: string | undefined
}

/**
 * Unknown fields are dropped, as by default, but not looked for by reading everything a second time: nobody reads what the
 * server would say of them, and it takes 4 % of its CPU for a write.
 */
export const UNCHECKED = { fieldValidation: 'Ignore' } as const

/** Answers go into `cache` at once, so that the next reconcile sees them even before their events. */
export function objectWriter<K extends Kind>(
  kube: Pick<Kube, 'send'>,
  kind: K,
  fieldManager: string,
  cache?: ObjectCache<Resource<K>>,
): ObjectWriter<K> {
  const target: Target<K> = { kube, kind, fieldManager, cache }
  return {
    async changeStatus(before, { from, to }) {
      const status = patched(before.status, mergePatch(from, to))
      if (isSameJson(before.status ?? {}, status)) return before
      // As a whole: a patch takes the server a tenth more CPU, and an apply a fifth. Of the rest it takes over nothing.
      const path = objectPath(kind, before.metadata, 'status')
      const query = { fieldManager, ...UNCHECKED }
      return write(target, { method: 'PUT', path, query, body: { ...before, status } })
    },

    async addFinalizer(before, finalizer) {
      const { finalizers = [] } = before.metadata
      return finalizers.includes(finalizer) ? before : patchFinalizers(target, before, [...finalizers, finalizer])
    },

    async removeFinalizer(before, finalizer) {
      const { finalizers = [] } = before.metadata
      const rest = finalizers.filter((name) => name !== finalizer)
      return rest.length === finalizers.length ? before : patchFinalizers(target, before, rest)
    },

    async create(manifest) {
      const path = collectionPath(kind, manifest.metadata.namespace)
      const query = { fieldManager, ...UNCHECKED }
      return write(target, { method: 'POST', path, query, body: { ...typeOf(kind), ...manifest } })
    },

    async apply(manifest) {
      const before = await get(target, manifest.metadata)
      const object = await apply(target, objectPath(kind, manifest.metadata), manifest)
      return { object, changed: object.metadata.resourceVersion !== before?.metadata.resourceVersion }
    },

    async delete(ref, precondition) {
      return remove(target, ref, precondition)
    },
  }
}

interface Target<K extends Kind> {
  readonly kube: Pick<Kube, 'send'>
  readonly kind: K
  readonly fieldManager: string
  readonly cache: ObjectCache<Resource<K>> | undefined
}

async function write<K extends Kind>({ kube, cache }: Target<K>, call: Call): Promise<Resource<K>> {
  const { body } = await kube.send<Resource<K>>(call)
  const object = withoutManagedFields(body)
  if (isGone(object)) cache?.delete(object)
  else cache?.put(object)
  return object
}

async function apply<K extends Kind>(to: Target<K>, path: string, body: object): Promise<Resource<K>> {
  return write(to, {
    method: 'PATCH',
    path,
    query: { fieldManager: to.fieldManager, force: true, ...UNCHECKED },
    contentType: 'application/apply-patch+yaml',
    body: { ...typeOf(to.kind), ...body },
  })
}

async function patchFinalizers<K extends Kind>(to: Target<K>, before: Resource<K>, finalizers: readonly string[]) {
  const { uid, resourceVersion } = before.metadata
  const body = { metadata: { uid, resourceVersion, finalizers } }
  const object = await patch(to, objectPath(to.kind, before.metadata), body).catch(ignoreNotFound)
  return object && isGone(object) ? undefined : object
}

async function patch<K extends Kind>(to: Target<K>, path: string, body: object): Promise<Resource<K>> {
  const query = { fieldManager: to.fieldManager, ...UNCHECKED }
  return write(to, { method: 'PATCH', path, query, contentType: 'application/merge-patch+json', body })
}

async function get<K extends Kind>({ kube, kind }: Target<K>, ref: Ref): Promise<Resource<K> | undefined> {
  const call = { method: 'GET', path: objectPath(kind, ref) } as const
  const reply = await kube.send<Resource<K>>(call).catch(ignoreNotFound)
  return reply?.body
}

async function remove<K extends Kind>(to: Target<K>, ref: Ref, precondition?: Precondition): Promise<Deletion> {
  const body = { propagationPolicy: 'Background', ...(precondition && { preconditions: precondition }) }
  try {
    await to.kube.send({ method: 'DELETE', path: objectPath(to.kind, ref), body })
    return 'accepted'
  } catch (error) {
    if (isKubeError(error, 'NotFound')) return 'gone'
    if (!precondition || !isKubeError(error, 'Conflict')) throw error
    const current = await get(to, ref)
    if (current?.metadata.uid === precondition.uid) throw error // Some other conflict.
    return current ? 'replaced' : 'gone'
  }
}

/** The API server drops a deleted object when its last finalizer goes, and still answers with it. */
function isGone({ metadata }: Resource): boolean {
  return metadata.deletionTimestamp !== undefined && (metadata.finalizers ?? []).length === 0
}

function ignoreNotFound(error: unknown): undefined {
  if (!isKubeError(error, 'NotFound')) throw error
}

function typeOf({ group, version, kind }: Kind): { apiVersion: string; kind: string } {
  return { apiVersion: group === '' ? version : `${group}/${version}`, kind }
}
