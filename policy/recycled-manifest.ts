import { CONFIRM_ANNOTATION } from '../crds/deletion.ts'
import type { Resource } from '../crds/kind.ts'
import { RECOVERED_FROM_ANNOTATION } from '../crds/recycled-resource.ts'

/** Bytes of an object in an entry of the recycle bin, as the API server stores it. */
export const MAX_MANIFEST_BYTES = 480 * 1024
/** Bytes of each Disk that goes with its machine. */
export const MAX_DISK_MANIFEST_BYTES = 16 * 1024

/**
 * For the delete that was, or the recovery before. What kubectl applied last stays: it tells what the next apply takes
 * away.
 */
const dropped = new Set([CONFIRM_ANNOTATION, RECOVERED_FROM_ANNOTATION])

type Texts = Readonly<Record<string, string>>

export interface RecycledManifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly labels?: Texts
    readonly annotations?: Texts
  }
  readonly spec: unknown
}

/**
 * An object as it can be applied again: without status, owners, finalizers and what the API server added. Where it is
 * too long, the longest annotations and labels go. Throws RangeError when the spec alone is too long.
 */
export function toRecycledManifest({ apiVersion, kind, metadata, spec }: Resource, maxBytes: number): RecycledManifest {
  const { name, namespace, labels = {}, annotations = {} } = metadata
  const bare = { apiVersion, kind, metadata: { name, ...(namespace !== undefined && { namespace }) }, spec }
  const left = maxBytes - storedBytes(bare) - KEYS_BYTES
  if (left < 0) throw new RangeError(`the spec of ${kind} ${name} is too long for the recycle bin`)
  const kept = shortest([...toEntries('labels', labels), ...toEntries('annotations', annotations)], left)
  const texts = (field: Field) => {
    const found = kept.filter((entry) => entry.field === field).map(({ key, value }): [string, string] => [key, value])
    return found.length > 0 && { [field]: Object.fromEntries(found) }
  }
  return { ...bare, metadata: { ...bare.metadata, ...texts('labels'), ...texts('annotations') } }
}

/** Of the words labels and annotations, with their brackets. */
const KEYS_BYTES = 64

type Field = 'labels' | 'annotations'
interface Entry {
  readonly field: Field
  readonly key: string
  readonly value: string
}

function toEntries(field: Field, texts: Texts): Entry[] {
  return Object.entries(texts)
    .filter(([key]) => !dropped.has(key))
    .map(([key, value]) => ({ field, key, value }))
}

function shortest(entries: readonly Entry[], maxBytes: number): Entry[] {
  let left = maxBytes
  const bytes = ({ key, value }: Entry) => storedBytes(key) + storedBytes(value) + 2
  return entries
    .toSorted((a, b) => bytes(a) - bytes(b))
    .filter((entry) => {
      left -= bytes(entry)
      return left >= 0
    })
}

/** Bytes of a value in etcd. Go writes some characters as six where JSON.stringify writes one. */
export function storedBytes(value: unknown): number {
  const text = JSON.stringify(value)
  const escaped = text.match(/[<>&\u2028\u2029]/g)?.length ?? 0
  return new TextEncoder().encode(text).length + 5 * escaped
}
