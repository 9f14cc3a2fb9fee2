import type { RefusalReason } from '../../crds/refusal.ts'
import type { Refusal } from '../review.ts'

/** Says why a request is refused; undefined when it has no objection. It looks nothing up and logs nothing. */
export type Rule<F> = (facts: F) => Refusal | undefined

/** The first objection wins. */
export function firstObjection<F>(rules: readonly Rule<F>[], facts: F): Refusal | undefined {
  for (const rule of rules) {
    const objection = rule(facts)
    if (objection) return objection
  }
  return undefined
}

/** A refusal. */
export function refuse(reason: RefusalReason, message: string): Refusal {
  return { reason, message }
}

/** How many are named in one sentence. */
export const MAX_NAMES = 10

/** `1 Disk` or `2 Disks`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

/** In place of a name that is not for who asks. */
export const UNSEEN = ''

/** Up to ten of the names, or so many, and how many more. */
export function listed(names: readonly string[], most = MAX_NAMES): string {
  const seen = names.filter((name) => name !== UNSEEN)
  if (seen.length === 0) return `${names.length} that cannot be named here`
  const shown = seen.toSorted((a, b) => a.localeCompare(b)).slice(0, most)
  const more = names.length - shown.length
  return `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}
