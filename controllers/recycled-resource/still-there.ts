import { RecycledResourceReason } from '../../crds/recycled-resource.ts'
import { waiting, type Outcome } from '../../lib/reconcile/outcome.ts'

const RETRY_MS = 1_000

/** The object has yet to let its name go: nothing is done with the entry before. */
export function stillThere(): Outcome {
  return waiting(RecycledResourceReason.PuttingAway, 'The object is in the bin, and is about to go', RETRY_MS)
}
