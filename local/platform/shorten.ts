const MAX = 10

export interface Shortening {
  /** How to see those that are left out. */
  readonly seeRest?: string
  /** Ten if not given. */
  readonly max?: number
}

/** The first of a list as a person is shown it, and how many more there are. */
export function firstOf(texts: readonly string[], { seeRest, max = MAX }: Shortening = {}): string[] {
  if (texts.length <= max) return [...texts]
  const more = `and ${texts.length - max} more`
  return [...texts.slice(0, max), seeRest === undefined ? more : `${more}; ${seeRest}`]
}
