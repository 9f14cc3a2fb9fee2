import type { Host } from '../../crds/host.ts'
import type { StatusOf } from '../../lib/reconcile/reconcile.ts'
import type { Clock } from '../../lib/clock.ts'
import type { News } from '../../lib/reconcile/conditions.ts'
import type { Fleet } from '../fleet/fleet.ts'

/** The world outside, as this controller needs it. */
export interface Deps {
  readonly fleet: Fleet
  /** Whether a VirtualMachine stands for this machine of the host. */
  readonly isOwned: (machine: Identity, host: string) => boolean
  readonly clock: Pick<Clock, 'now' | 'monotonicMs'>
  readonly emit: (host: Host, news: News) => void
  readonly unowned: Unowned
}

/** Of a machine, as its host knows it. `name`: `namespace/name`. */
export interface Identity {
  readonly id: string
  readonly name: string
}

/** Since when a machine has been seen without an owner, on the monotonic clock, by its id; of every host. */
export type Unowned = Map<string, Map<string, number>>

/** What the phases of one reconcile share. They change `status`, which is `host.status`. */
export interface Scope {
  readonly host: Host
  readonly status: StatusOf<Host>
  readonly deps: Deps
}
