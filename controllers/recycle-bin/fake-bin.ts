import type { DeletionPolicy } from '../../crds/deletion.ts'
import { meta } from '../../crds/testing/objects.ts'
import type { RecyclableKind, RecycledResource } from '../../crds/recycled-resource.ts'
import { decideDeletion, defaultDeletion, toStamp } from '../../policy/deletion.ts'
import { hasTakenAlong, type Contents } from '../../policy/recycled-contents.ts'
import type { Deleted, RecycleBin } from './bin.ts'
import { makerIn } from './maker.ts'

/** A recycle bin in memory. Each write of it can be made to fail before or after it is stored. */
export class FakeBin {
  readonly entries = new Map<string, RecycledResource>()
  /** In place of what the settings say. */
  policy: DeletionPolicy | undefined
  settings = defaultDeletion
  /** Called before and after each request to the API server; what it throws is thrown. */
  fault: (what: string) => void = () => undefined
  /** Whether the object that is put away is still there. */
  isThere: (object: Deleted) => boolean = () => true

  /** As admission leaves it. */
  stamp(object: Deleted, by = 'ann'): RecycledResource {
    const { apiVersion, metadata, spec } = object
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only these kinds have a bin
    const kind = object.kind as RecyclableKind
    const now = new Date('2026-01-01T00:00:00Z')
    const override = this.policy ?? spec.deletionPolicy
    const decision = decideDeletion({ kind, override, settings: defaultDeletion, now })
    const { name, namespace = '', uid } = metadata
    const entry: RecycledResource = {
      apiVersion: 'platform.holdfast.dev/v1alpha1',
      kind: 'RecycledResource',
      metadata: meta(uid, { uid: `e${uid.slice(1)}` }),
      spec: { resource: { apiVersion, kind, namespace, name, uid }, deletion: toStamp(by, decision) },
    }
    this.entries.set(uid, entry)
    return entry
  }

  /** As the finalizers use it. */
  get bin(): RecycleBin {
    const request = <T>(what: string, act: () => T): T => {
      this.fault(`before ${what}`)
      const done = act()
      this.fault(`after ${what}`)
      return done
    }
    const all = () => [...this.entries.values()]
    return {
      settings: () => this.settings,
      ofDisk: (namespace, name) => all().filter((entry) => hasTakenAlong(entry, namespace, name)),
      find: (name) => this.entries.get(name),
      read: async (name) => this.entries.get(name),
      ofObject: (kind, namespace, name) =>
        all().filter(
          ({ spec: { resource } }) =>
            resource.kind === kind && resource.namespace === namespace && resource.name === name,
        ),
      ofMaker: (machineId) => all().filter((entry) => makerIn(entry) === machineId),
      ofFile: (id) => all().filter(({ spec }) => spec.contents?.disks?.some((disk) => disk.id === id)),
      ofMac: (mac) => all().filter(({ spec }) => spec.contents?.addresses?.some((address) => address.mac === mac)),
      ofDownload: (sha256) => all().filter(({ spec }) => spec.contents?.download?.sha256 === sha256),
      open: async (object) => {
        const known = this.entries.get(object.metadata.uid)
        if (known) return known
        if (!this.isThere(object)) return undefined
        return request('create entry', () => this.stamp(object, 'unknown'))
      },
      fill: async (entry, contents) =>
        entry.spec.contents ? entry : request('fill entry', () => this.#fill(entry, contents)),
      leaveOut: async (entry, uids) => {
        const { contents } = entry.spec
        const disks = contents?.disks?.filter(({ uid }) => !uids.includes(uid))
        if (!contents || !disks || disks.length === contents.disks?.length) return entry
        return request('leave disks out', () => this.#fill(entry, { ...contents, disks }))
      },
      close: async (entry) =>
        request('close entry', () => void this.#store({ ...entry, status: { ...entry.status, phase: 'Binned' } })),
      remove: async ({ metadata }) => request('remove entry', () => void this.entries.delete(metadata.name)),
    }
  }

  #fill(entry: RecycledResource, contents: Contents): RecycledResource {
    return this.#store({ ...entry, spec: { ...entry.spec, contents } })
  }

  #store(entry: RecycledResource): RecycledResource {
    this.entries.set(entry.metadata.name, entry)
    return entry
  }
}
