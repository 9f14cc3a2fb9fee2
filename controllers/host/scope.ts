import type { Host } from '../../crds/host.ts'
import type { StatusOf } from '../../lib/reconcile/reconcile.ts'
import type { Fleet } from '../fleet/fleet.ts'

/** The world outside, as this controller needs it. */
export interface Deps {
  readonly fleet: Fleet
}

/** What the phases of one reconcile share. They change `status`, which is `host.status`. */
export interface Scope {
  readonly host: Host
  readonly status: StatusOf<Host>
  readonly deps: Deps
}
