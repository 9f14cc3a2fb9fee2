import type { HeldBrake } from '../../crds/platform-settings.ts'
import type { News } from '../../lib/reconcile/conditions.ts'

/** That a brake holds. With the time, or one that latches twice within an hour would be told of once. */
export function latchedNews({ person, kind, since, letThrough }: HeldBrake): News {
  const message = `After ${letThrough} deletes of kind ${kind} by ${person}, further ones are refused since ${since}: stop what deletes them, or release the brake with spec.deletion.brakeReleases of PlatformSettings default`
  return { type: 'Warning', reason: 'BrakeLatched', message }
}

/** That a brake holds no more. */
export function releasedNews({ person, kind, since }: HeldBrake): News {
  const message = `Deletes of kind ${kind} by ${person}, which were refused since ${since}, are let through again`
  return { type: 'Normal', reason: 'BrakeReleased', message }
}
