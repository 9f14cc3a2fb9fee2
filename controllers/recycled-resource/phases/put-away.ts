import { RecycledResourceCondition, RecycledResourceReason } from '../../../crds/recycled-resource.ts'
import { decided, done, gone, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import type { Found, Scope } from '../scope.ts'

/** A delete that admission let through is stored within this time, or came to nothing. */
const STORED_WITHIN_MS = 120_000
const LOOK_AGAIN_MS = 30_000

/**
 * Waits until the finalizer of the object has put it away. An entry that nobody will complete is removed: its delete came
 * to nothing, or its object is gone without having been put away.
 */
export const awaitObject: Phase<Scope> = {
  condition: RecycledResourceCondition.PutAway,

  async run(scope) {
    const { entry, status, deps } = scope
    if ((status.phase ?? 'Pending') !== 'Pending') return done
    const { resource, deletion, contents } = entry.spec
    const ageMs = deps.now().getTime() - Date.parse(deletion.at)
    const isOld = ageMs >= STORED_WITHIN_MS
    if (isSame(deps.seen(resource), resource.uid) && !isOld) return puttingAway(STORED_WITHIN_MS - ageMs)

    const found = await deps.read(resource)
    if (isSame(found, resource.uid)) return ofLiving(scope, found, isOld)
    if (deletion.policy !== 'Immediate' && contents) {
      // Its finalizer was taken off by somebody else, after all was stored.
      status.phase = 'Binned'
      return decided
    }
    // A uid that is gone never comes back: the object went along with another one, or as its policy says.
    await deps.bin.remove(entry)
    return gone
  },
}

async function ofLiving({ entry, deps }: Scope, found: Found | undefined, isOld: boolean): Promise<Outcome> {
  if (!isOld || found?.metadata.deletionTimestamp !== undefined) return puttingAway(LOOK_AGAIN_MS)
  await deps.bin.remove(entry)
  return gone
}

function isSame(found: Pick<Found, 'metadata'> | undefined, uid: string): boolean {
  return found?.metadata.uid === uid
}

function puttingAway(retryAfterMs: number): Outcome {
  return waiting(RecycledResourceReason.PuttingAway, 'The object is being put away: see its conditions', retryAfterMs)
}
