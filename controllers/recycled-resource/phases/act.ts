import { RecycledResourceCondition, RecycledResourceReason } from '../../../crds/recycled-resource.ts'
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
 * action or by a manifest, is not destroyed; nor is what a Disk waits for that is to come back with it.
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
    return scope.deps.isAwaited(entry) ? done : atItsTime(scope)
  },
}

/** The phase alone is not enough: others may write a status too. */
function isToBePurged(scope: Scope): boolean {
  const { entry, deps } = scope
  const { action, deletion } = entry.spec
  if (deletion.policy === 'Never') return false
  return action === 'Purge' || purgeTime(scope) <= deps.now().getTime()
}

async function atItsTime(scope: Scope): Promise<Outcome> {
  const purgeAtMs = purgeTime(scope)
  if (purgeAtMs === Infinity) return done
  const leftMs = purgeAtMs - scope.deps.now().getTime()
  if (leftMs <= 0) return beginPurge(scope, purgeAtMs)
  const lookAgainMs = Math.min(leftMs, LOOK_AGAIN_MS)
  return isPostponed(scope) ? postponed(purgeAtMs, lookAgainMs) : doneFor(lookAgainMs)
}

/** When it is destroyed by itself, in milliseconds; Infinity for never. */
function purgeTime({ entry, deps }: Scope): number {
  const { purgeAt } = entry.spec.deletion
  return purgeAt === undefined ? Infinity : Math.max(Date.parse(purgeAt), deps.purgesFrom?.getTime() ?? 0)
}

function isPostponed({ entry, deps }: Scope): boolean {
  return Date.parse(entry.spec.deletion.purgeAt ?? '') <= deps.now().getTime()
}

function postponed(untilMs: number, retryAfterMs: number): Outcome {
  const until = new Date(untilMs).toISOString()
  const message = `The platform was restored to an older state, in which what was brought back since is in the bin again: nothing is destroyed by time before ${until}; recover what is needed`
  return { type: 'done', reason: RecycledResourceReason.PurgePostponed, message, retryAfterMs }
}
