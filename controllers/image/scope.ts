import type { InspectedImage } from '../../agent/contract.ts'
import type { Image } from '../../crds/image.ts'
import type { StatusOf } from '../../lib/reconcile/reconcile.ts'
import type { Fleet } from '../fleet/fleet.ts'

/** The world outside, as this controller needs it. */
export interface Deps {
  readonly fleet: Fleet
}

/** What a host says of the file. */
export interface Answer {
  /** Of the host. */
  readonly name: string
  /** Nothing, where the host did not answer. */
  readonly answer?: InspectedImage
}

/** What the phases of one reconcile share. They change `status`, which is `image.status`. */
export interface Scope {
  readonly image: Image
  readonly status: StatusOf<Image>
  readonly deps: Deps
  /** Of the connected hosts, by their names. Set by the verify phase. */
  answers: readonly Answer[]
}
