import type { Resource } from '../../crds/kind.ts'
import { keyOf } from './paths.ts'

/** Whatever the API server holds. */
export type Stored = Pick<Resource, 'metadata'>

/** Told after the cache has changed. A new object has no `before`, a deleted one no `after`. Must not throw. */
export type ChangeListener<R> = (before: R | undefined, after: R | undefined) => void

interface Held<R> {
  readonly object: R
  readonly version: string
}

/** A late answer about a deleted object comes within seconds; this many deletes take longer. */
const MAX_TOMBSTONES = 10_000

/**
 * What the API server holds of one kind, or a moment ago held: fed by a reflector, and by the answers to our own
 * writes. Of two states the one with the newer resourceVersion counts, in whatever order they arrive. Deleted and made
 * again under one name is a delete and an add. Objects in it are shared: never change one.
 */
export class ObjectCache<R extends Stored = Resource, Index extends string = string> {
  readonly #objects = new Map<string, Held<R>>()
  /** Version at which an object was deleted, by uid. The oldest comes first. */
  readonly #tombstones = new Map<string, string>()
  readonly #indexes: ReadonlyMap<string, { valuesOf: (object: R) => readonly string[]; keys: Map<string, Set<string>> }>
  readonly #listeners = new Set<ChangeListener<R>>()
  readonly #synced = Promise.withResolvers<undefined>()
  #isSynced = false

  /** An index gives the values under which an object is found, such as the names of the disks it uses. */
  constructor(indexes: Readonly<Record<Index, (object: R) => readonly string[]>>) {
    const entries = Object.entries<(object: R) => readonly string[]>(indexes)
    this.#indexes = new Map(entries.map(([name, valuesOf]) => [name, { valuesOf, keys: new Map() }]))
  }

  /** Resolves once everything that exists is in the cache. Until then an absence means nothing. */
  get synced(): Promise<unknown> {
    return this.#synced.promise
  }

  get isSynced(): boolean {
    return this.#isSynced
  }

  get size(): number {
    return this.#objects.size
  }

  /** By `namespace/name`, or by `name` where the kind has no namespaces. */
  get(key: string): R | undefined {
    return this.#objects.get(key)?.object
  }

  list(): R[] {
    return [...this.#objects.values()].map(({ object }) => object)
  }

  /** The objects that `index` files under `value`. */
  by(index: Index, value: string): R[] {
    const keys = this.#indexes.get(index)?.keys.get(value) ?? []
    return [...keys].flatMap((key) => this.#objects.get(key)?.object ?? [])
  }

  /** What is in the cache already is told at once, as new. Returns what ends the subscription. */
  onChange(listener: ChangeListener<R>): () => void {
    this.#listeners.add(listener)
    for (const { object } of this.#objects.values()) listener(undefined, object)
    return () => this.#listeners.delete(listener)
  }

  /** Ends every subscription. */
  endSubscriptions(): void {
    this.#listeners.clear()
  }

  /** Takes a state from a list, an event, or the answer to a write, unless something newer is known. */
  put(object: R): void {
    const { uid, resourceVersion } = object.metadata
    const key = keyOf(object.metadata)
    const held = this.#objects.get(key)
    if (held && !isNewer(resourceVersion, held.version)) return
    if (!isNewer(resourceVersion, this.#tombstones.get(uid) ?? '0')) return

    if (held && held.object.metadata.uid !== uid) this.#remove(key, held, resourceVersion)
    const before = this.#objects.get(key)?.object
    const after = withoutManagedFields(object)
    this.#objects.set(key, { object: after, version: resourceVersion })
    this.#reindex(key, before, after)
    this.#tell(before, after)
  }

  /** Takes the word of a delete event, whose object carries the version of the delete. */
  delete({ metadata }: R): void {
    const key = keyOf(metadata)
    const held = this.#objects.get(key)
    if (held?.object.metadata.uid === metadata.uid) this.#remove(key, held, metadata.resourceVersion)
    else this.#bury(metadata.uid, metadata.resourceVersion)
  }

  /**
   * Takes an object that a list of this version has. If it was deleted before that version, then in another history: a
   * list that lacked it was not complete, or etcd was restored.
   */
  admit(object: R, listVersion: string): void {
    const { uid } = object.metadata
    const buried = this.#tombstones.get(uid)
    if (buried !== undefined && isNewer(listVersion, buried)) this.#tombstones.delete(uid)
    this.put(object)
  }

  /**
   * Ends a list: what is not among `uids` was deleted by `resourceVersion`, the list's. What is newer than the list,
   * such as an object that we just made, is kept. From now on the cache is synced.
   */
  retain(uids: ReadonlySet<string>, resourceVersion: string): void {
    for (const [key, held] of this.#objects) {
      const missing = !uids.has(held.object.metadata.uid)
      if (!missing || isNewer(held.version, resourceVersion)) continue
      this.#remove(key, held, resourceVersion)
    }
    this.#isSynced = true
    this.#synced.resolve(undefined)
  }

  /** Takes a whole list at once. */
  replace(objects: readonly R[], resourceVersion: string): void {
    for (const object of objects) this.put(object)
    this.retain(new Set(objects.map(({ metadata }) => metadata.uid)), resourceVersion)
  }

  /** History went back, as when etcd was restored from a backup: the next list decides, whatever its versions. */
  distrust(): void {
    this.#tombstones.clear()
    for (const [key, { object }] of this.#objects) this.#objects.set(key, { object, version: '0' })
  }

  #remove(key: string, { object }: Held<R>, version: string): void {
    this.#objects.delete(key)
    this.#bury(object.metadata.uid, version)
    this.#reindex(key, object, undefined)
    this.#tell(object, undefined)
  }

  #bury(uid: string, version: string): void {
    this.#tombstones.delete(uid)
    this.#tombstones.set(uid, version)
    const [oldest] = this.#tombstones.keys()
    if (this.#tombstones.size > MAX_TOMBSTONES && oldest !== undefined) this.#tombstones.delete(oldest)
  }

  #reindex(key: string, before: R | undefined, after: R | undefined): void {
    for (const { valuesOf, keys } of this.#indexes.values()) {
      const old = before ? valuesOf(before) : []
      const now = after ? valuesOf(after) : []
      for (const value of old) if (!now.includes(value)) unfile(keys, value, key)
      for (const value of now) file(keys, value, key)
    }
  }

  #tell(before: R | undefined, after: R | undefined): void {
    for (const listener of this.#listeners) listener(before, after)
  }
}

/** Versions are whole numbers of any length without leading zeros, so the longer one is the greater. */
export function isNewer(version: string, than: string): boolean {
  return version.length === than.length ? version > than : version.length > than.length
}

function file(keys: Map<string, Set<string>>, value: string, key: string): void {
  const filed = keys.get(value)
  if (filed) filed.add(key)
  else keys.set(value, new Set([key]))
}

function unfile(keys: Map<string, Set<string>>, value: string, key: string): void {
  const filed = keys.get(value)
  filed?.delete(key)
  if (filed?.size === 0) keys.delete(value)
}

/** They are half of an object's size, and nobody here reads them. */
export function withoutManagedFields<R extends Stored>(object: R): R {
  if (!('managedFields' in object.metadata)) return object
  const { managedFields: _, ...metadata } = object.metadata
  return { ...object, metadata }
}
