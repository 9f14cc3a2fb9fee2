/**
 * Whether two values say the same as JSON: an absent field and one that is undefined are the same, and the order of fields
 * does not matter. For plain data only.
 */
export function isSameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (!isContainer(a) || !isContainer(b) || Array.isArray(a) !== Array.isArray(b)) return false
  for (const field in a) if (!isSameJson(a[field], b[field])) return false
  return !hasMore(b, a)
}

function hasMore(a: Container, than: Container): boolean {
  for (const field in a) if (a[field] !== undefined && than[field] === undefined) return true
  return false
}

/** What makes `after` of `before`, as a JSON merge patch (RFC 7386): without fields where they say the same. */
export function mergePatch(before: object, after: object): Container {
  const patch: Container = {}
  const [was, is]: [Container, Container] = [{ ...before }, { ...after }]
  for (const field in is) {
    const [from, to] = [was[field], is[field]]
    if (to === undefined || isSameJson(from, to)) continue
    patch[field] = isObject(from) && isObject(to) ? mergePatch(from, to) : to
  }
  for (const field in was) if (was[field] !== undefined && is[field] === undefined) patch[field] = null
  return patch
}

/** What a JSON merge patch (RFC 7386) makes of a value. Parts that stay are not copied. */
export function patched<T>(target: T, patch: unknown): T
export function patched(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch
  const result: Container = isObject(target) ? { ...target } : {}
  for (const field in patch) {
    if (patch[field] === null) delete result[field]
    else result[field] = patched(result[field], patch[field])
  }
  return result
}

/** A copy that can be changed. Several times as fast as `structuredClone`, for what can be JSON. */
export function copyJson<T>(value: T): T
export function copyJson(value: unknown): unknown {
  if (!isContainer(value)) return value
  if (Array.isArray(value)) return (value as unknown[]).map((item) => copyJson(item))
  const copy: Container = {}
  for (const field in value) copy[field] = copyJson(value[field])
  return copy
}

/** An object or an array, whose fields are its places. */
type Container = Record<string, unknown>

function isContainer(value: unknown): value is Container {
  return typeof value === 'object' && value !== null
}

function isObject(value: unknown): value is Container {
  return isContainer(value) && !Array.isArray(value)
}
