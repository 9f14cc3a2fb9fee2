import type { BrakeConfigMap } from '../../crds/brake-record.ts'
import type { PlatformSettings } from '../../crds/platform-settings.ts'
import type { ObjectEvent } from '../../lib/kube/events.ts'
import type { News } from '../../lib/reconcile/conditions.ts'
import type { StatusOf } from '../../lib/reconcile/reconcile.ts'

export interface Teller {
  /** By the clock of the API server. */
  readonly now: () => Date
  /** What is told twice is one event. */
  readonly emit: (object: ObjectEvent['object'], news: News) => void
}

/** The world outside, as this controller needs it. */
export interface Deps extends Teller {
  /** What the webhooks wrote down of deletes. */
  readonly records: () => readonly BrakeConfigMap[]
}

/** What the phases of one reconcile share. They change `status`, which is that of `settings`. */
export interface Scope {
  readonly settings: PlatformSettings
  readonly status: StatusOf<PlatformSettings>
  readonly deps: Deps
}
