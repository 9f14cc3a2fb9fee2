import type { Kind } from '../../crds/kind.ts'

/** What of a kind is in its paths. The group of built-in kinds such as Secret is ''. */
export type Endpoint = Pick<Kind, 'group' | 'version' | 'plural' | 'scope'>

export interface Ref {
  /** Absent on cluster-scoped objects. */
  readonly namespace?: string | undefined
  readonly name: string
}

/** Path of all objects of a kind, in one namespace or in all. */
export function collectionPath({ group, version, plural, scope }: Endpoint, namespace?: string): string {
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`
  const within = scope === 'Cluster' || namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`
  return `${root}${within}/${plural}`
}

/** Path of one object, or of its subresource, such as `status`. */
export function objectPath(kind: Endpoint, { namespace, name }: Ref, subresource?: string): string {
  if (kind.scope === 'Namespaced' && namespace === undefined) throw new Error(`${kind.plural} are in namespaces`)
  const path = `${collectionPath(kind, namespace)}/${encodeURIComponent(name)}`
  return subresource === undefined ? path : `${path}/${subresource}`
}

/** What caches and queues call an object: `namespace/name`, or `name` where there is no namespace. */
export function keyOf({ namespace, name }: Ref): string {
  return namespace === undefined ? name : `${namespace}/${name}`
}
