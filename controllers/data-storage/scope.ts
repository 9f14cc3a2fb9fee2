import type { DataStorage } from '../../crds/data-storage.ts'
import type { StatusOf } from '../../lib/reconcile/reconcile.ts'
import type { Fleet } from '../fleet/fleet.ts'

/** The world outside, as this controller needs it. */
export interface Deps {
  readonly fleet: Fleet
}

/** What the phases of one reconcile share. They change `status`, which is `storage.status`. */
export interface Scope {
  readonly storage: DataStorage
  readonly status: StatusOf<DataStorage>
  readonly deps: Deps
}
