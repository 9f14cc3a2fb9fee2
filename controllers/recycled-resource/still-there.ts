import { kinds } from '../../crds/index.ts'
import { RecycledResourceReason } from '../../crds/recycled-resource.ts'
import { waiting, type Outcome } from '../../lib/reconcile/outcome.ts'
import type { Found } from './scope.ts'

const RETRY_MS = 1_000
const own = new Set(kinds.map(({ finalizer }) => finalizer))

/** The object has yet to let its name go: nothing is done with the entry before. */
export function stillThere({ metadata: { finalizers = [] } }: Pick<Found, 'metadata'>): Outcome {
  const others = finalizers.filter((finalizer) => !own.has(finalizer))
  const why =
    others.length === 0
      ? 'is about to go'
      : `goes once the finalizer ${others.join(', ')} is taken off by whoever put it there`
  return waiting(RecycledResourceReason.PuttingAway, `The object is in the bin, and ${why}`, RETRY_MS)
}
