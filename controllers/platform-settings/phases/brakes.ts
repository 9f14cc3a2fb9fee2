import {
  MAX_BRAKES,
  PlatformSettingsCondition,
  PlatformSettingsReason,
  type HeldBrake,
} from '../../../crds/platform-settings.ts'
import type { News } from '../../../lib/reconcile/conditions.ts'
import { done, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { heldBrakes, removalOf } from '../../../policy/brake.ts'
import { latchedNews, releasedNews } from '../news.ts'
import type { Scope } from '../scope.ts'

/** What a person reads of one by one. The rest is in the list. */
const MAX_EVENTS = 5

/** Lists whose deletes are refused. That is no fault of the settings: they stay Ready. */
export const listBrakes: Phase<Scope> = {
  condition: PlatformSettingsCondition.BrakesOpen,
  informs: true,

  run({ settings, status, deps }) {
    const now = deps.now()
    const held = heldBrakes(deps.records(), settings.spec.deletion, now)
    for (const item of news(status.brakes ?? [], held)) deps.emit(settings, item)
    status.brakeCount = held.length
    if (held.length === 0) delete status.brakes
    else status.brakes = held.slice(0, MAX_BRAKES)
    return toOutcome(held, now)
  },
}

/** What changed since the list was last stored. Told before the list is: what is told twice has one name and is one event. */
function news(before: readonly HeldBrake[], held: readonly HeldBrake[]): News[] {
  const [was, is] = [before, held].map((list) => new Set(list.map(idOf)))
  const latched = held.slice(0, MAX_BRAKES).filter((brake) => !was?.has(idOf(brake)))
  const released = before.filter((brake) => !is?.has(idOf(brake)))
  return [...latched.slice(0, MAX_EVENTS).map(latchedNews), ...released.slice(0, MAX_EVENTS).map(releasedNews)]
}

function idOf({ person, kind, since }: HeldBrake): string {
  return JSON.stringify([person, kind, since])
}

function toOutcome(held: readonly HeldBrake[], now: Date): Outcome {
  const [latest] = held
  if (!latest) return done
  const { person, kind } = latest
  const { verb, things } = removalOf(kind)
  const more = held.length === 1 ? '' : `, and ${held.length - 1} more: see status.brakes`
  const message = `${person} may ${verb} no more ${things}${more}: stop what ${verb}s them, or add a release to spec.deletion.brakeReleases`
  const opensInMs = held.map(({ opensAt }) => Date.parse(opensAt) - now.getTime())
  // Times are kept to the second, and a brake holds until just after.
  return waiting(PlatformSettingsReason.BrakeLatched, message, Math.max(0, Math.min(...opensInMs)) + 1_000)
}
