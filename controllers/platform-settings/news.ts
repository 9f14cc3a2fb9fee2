import type { HeldBrake } from '../../crds/platform-settings.ts'
import type { News } from '../../lib/reconcile/conditions.ts'
import { removalOf } from '../../policy/brake.ts'

/** That a brake holds. With the time, or one that latches twice within an hour would be told of once. */
export function latchedNews({ person, kind, since, letThrough }: HeldBrake): News {
  const { verb, things } = removalOf(kind)
  const message = `After ${person} ${verb}d ${letThrough} ${things}, further ones are refused since ${since}: stop what ${verb}s them, or release the brake with spec.deletion.brakeReleases of PlatformSettings default`
  return { type: 'Warning', reason: 'BrakeLatched', message }
}

/** That a brake holds no more. */
export function releasedNews({ person, kind, since }: HeldBrake): News {
  const { verb, things } = removalOf(kind)
  const message = `${person} may ${verb} ${things} again, which was refused since ${since}`
  return { type: 'Normal', reason: 'BrakeReleased', message }
}
