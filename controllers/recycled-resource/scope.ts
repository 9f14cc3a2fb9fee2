import type { Disk } from '../../crds/disk.ts'
import type { ObjectMeta } from '../../crds/common.ts'
import type { Image } from '../../crds/image.ts'
import type { RecyclableKind, RecycledResource } from '../../crds/recycled-resource.ts'
import type { News } from '../../lib/reconcile/conditions.ts'
import type { StatusOf } from '../../lib/reconcile/reconcile.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { RecycleBin } from '../recycle-bin/bin.ts'

/** What is asked of an object that is there. */
export interface Found {
  readonly metadata: ObjectMeta & { readonly managedFields?: readonly ManagedFields[] | undefined }
  readonly spec?: Readonly<Record<string, unknown>> | undefined
  readonly status?:
    | {
        readonly id?: string | undefined
        readonly machineId?: string | undefined
        readonly downloadHosts?: readonly string[] | undefined
      }
    | undefined
}

/** What the API server notes of who wrote which fields. */
export interface ManagedFields {
  readonly manager?: string | undefined
  readonly operation?: string | undefined
  readonly subresource?: string | undefined
  readonly fieldsV1?: { readonly 'f:metadata'?: object; readonly 'f:spec'?: object } | undefined
}

export interface Place {
  readonly kind: RecyclableKind
  readonly namespace: string
  readonly name: string
}

/** An object as it was applied. */
export interface Manifest {
  readonly metadata: {
    readonly labels?: Readonly<Record<string, string>> | undefined
    readonly annotations?: Readonly<Record<string, string>> | undefined
  }
  readonly spec: Readonly<Record<string, unknown>>
}

/** `refused`: by the API server, which says why. `taken`: another object has the name. */
export type Creation =
  | { readonly type: 'made'; readonly object: Found }
  | { readonly type: 'taken' }
  | { readonly type: 'refused'; readonly message: string }

/** The world outside, as this controller needs it. */
export interface Deps {
  readonly fleet: Fleet
  readonly bin: Pick<RecycleBin, 'fill' | 'remove' | 'ofDownload' | 'ofFile'>
  /** By the clock of the API server. Throws until that is known. */
  readonly now: () => Date
  /** Nothing is destroyed by time before. */
  readonly purgesFrom?: Date | undefined
  /** The object of that name as it was last seen. */
  readonly seen: (place: Place) => Pick<Found, 'metadata'> | undefined
  /** The object of that name as the API server has it now, whose clock is known better then. */
  readonly read: (place: Place) => Promise<Found | undefined>
  /** Makes the namespace unless it is there. `Terminating` while an older one ends. */
  readonly makeNamespace: (name: string) => Promise<'Active' | 'Terminating'>
  /** Makes an object, unless there is one that came from this entry already. */
  readonly create: (place: Place, manifest: Manifest, entry: string) => Promise<Creation>
  /** What `create` would come to, by a dry run. */
  readonly tryOut: (place: Place, manifest: Manifest, entry: string) => Promise<Creation>
  /** Gives up the fields of an object that we made, so that whoever applies its manifest next has no conflict with us. */
  readonly disown: (place: Place, object: Found) => Promise<void>
  /** Where objects are that were made to be what the entry holds, and are not being deleted: the oldest first. */
  readonly claimants: (entry: RecycledResource) => readonly Place[]
  /** Whether there is a Disk that its manifest made to come back with its machine, and that waits for that. */
  readonly isAwaited: (entry: RecycledResource) => boolean
  /** Disks that stand for the file of this name, or that ask for it, in any namespace. */
  readonly disksOfFile: (id: string) => readonly Disk[]
  /** Images that the file of this digest is downloaded for. */
  readonly downloadedAs: (sha256: string) => readonly Image[]
  readonly emit: (entry: RecycledResource, news: News) => void
}

/** What the phases of one reconcile share. They change `status`, which is `entry.status`. */
export interface Scope {
  readonly entry: RecycledResource
  readonly status: StatusOf<RecycledResource>
  readonly deps: Deps
}
