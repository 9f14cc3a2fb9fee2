import { RecycledResourceCondition } from '../../../crds/recycled-resource.ts'
import { done, doneFor, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { beginPurge, endPurge, purge } from '../purge.ts'
import { beginRecovery, findClaimant, recover } from '../recover.ts'
import type { Scope } from '../scope.ts'

/** How long to trust that the clock of the API server goes on as it did. */
const LOOK_AGAIN_MS = 600_000

/**
 * Brings the object back, or destroys it, when it is asked for or its time has come. Which of both is stored before
 * anything is done, and is not changed then. What somebody wants back, by
 * action or by a manifest, is not destroyed.
 */
export const carryOut: Phase<Scope> = {
  condition: RecycledResourceCondition.ActionPossible,

  async run(scope) {
    const { entry, status } = scope
    if (status.phase === 'Recovering') return recover(scope)
    const { action, deletion } = entry.spec
    if (status.phase === 'Purging') return isToBePurged(scope) ? purge(scope) : endPurge(scope)
    const claimant = await findClaimant(scope)
    if (claimant || action === 'Recover') return beginRecovery(scope, claimant)
    if (action === 'Purge' && deletion.policy !== 'Never') return beginPurge(scope)
    return deletion.purgeAt === undefined ? done : atItsTime(scope, Date.parse(deletion.purgeAt))
  },
}

/** The phase alone is not enough: others may write a status too. */
function isToBePurged({ entry, deps }: Scope): boolean {
  const { action, deletion } = entry.spec
  if (deletion.policy === 'Never') return false
  return action === 'Purge' || (deletion.purgeAt !== undefined && Date.parse(deletion.purgeAt) <= deps.now().getTime())
}

async function atItsTime(scope: Scope, purgeAtMs: number): Promise<Outcome> {
  const leftMs = purgeAtMs - scope.deps.now().getTime()
  if (leftMs > 0) return doneFor(Math.min(leftMs, LOOK_AGAIN_MS))
  return beginPurge(scope, purgeAtMs)
}
