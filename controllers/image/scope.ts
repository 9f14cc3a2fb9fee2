import type { InspectedImage } from '../../agent/contract.ts'
import type { Image } from '../../crds/image.ts'
import type { Clock } from '../../lib/clock.ts'
import type { StatusOf } from '../../lib/reconcile/reconcile.ts'
import type { ImportSettings } from '../../policy/imports.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { RecycleBin } from '../recycle-bin/bin.ts'

/** The world outside, as this controller needs it. */
export interface Deps {
  readonly fleet: Fleet
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly settings: () => ImportSettings
  /** Whether disks can be made on a host. */
  readonly hasStorage: (host: string) => boolean
  /** Images that the file of this digest is downloaded for. */
  readonly downloadedAs: (sha256: string) => readonly Image[]
  /** A value of a ConfigMap; nothing when there is no such ConfigMap or key. */
  readonly configMapValue: (namespace: string, name: string, key: string) => Promise<string | undefined>
  readonly bin: RecycleBin
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
  /** When the progress of an image was last told, by uid, on the monotonic clock. Kept between reconciles. */
  readonly toldAtMs: Map<string, number>
  /** Of the hosts that were asked now, by their names. Set by the verify phase. */
  answers: readonly Answer[]
}
