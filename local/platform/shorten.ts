import type { Resource } from '../../crds/kind.ts'
import { whyNotReady } from './readiness.ts'

/** So many objects of a kind are told of one by one. */
const MAX_LINES = 10

export interface Shortening {
  /** How to see those that are left out. */
  readonly seeRest?: string
  readonly max?: number
}

/** The first of them, and how many more there are. */
export function firstOf(texts: readonly string[], { seeRest, max = MAX_LINES }: Shortening = {}): string[] {
  if (texts.length <= max) return [...texts]
  const more = `and ${texts.length - max} more`
  return [...texts.slice(0, max), seeRest === undefined ? more : `${more}; ${seeRest}`]
}

/** A line for each object, of many only for the first: what is not Ready comes before what is. */
export function linesOf<R extends Resource>(
  objects: readonly R[],
  lineOf: (object: R) => string,
  shortening: Shortening,
): string[] {
  const isReady = (object: R) => whyNotReady(object) === undefined
  const ordered = [...objects.filter((object) => !isReady(object)), ...objects.filter(isReady)]
  return firstOf(ordered.map(lineOf), shortening)
}
