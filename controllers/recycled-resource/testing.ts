import type { Disk } from '../../crds/disk.ts'
import type { Image } from '../../crds/image.ts'
import { binnedDisk, disk, entry as newEntry, meta, newDisk } from '../../crds/testing/objects.ts'
import type { RecycledResource } from '../../crds/recycled-resource.ts'
import type { Contents } from '../../policy/recycled-contents.ts'
import { FakeStore } from '../fleet/fake-store.ts'
import { fakeFleet, fakeHost } from '../fleet/testing.ts'
import { FakeBin } from '../recycle-bin/fake-bin.ts'
import { recycledResourceReconciler } from './reconciler.ts'
import type { Found, Place } from './scope.ts'

/** Name of the file. */
export const FILE = '22222222-2222-4222-8222-222222222222'

type Policy = 'Immediate' | 'Delayed' | 'Never'

interface Around {
  /** What the API server answers who makes something. */
  refusal?: string
  /** Other entries that hold the same. */
  others: RecycledResource[]
  /** Disks that have the file, or ask for it. */
  disks: Disk[]
  /** Images that the same is downloaded for. */
  images: Image[]
  purgesFrom?: Date
  /** What a manifest made to be what the entry holds. */
  claimants: Place[]
  /** Called by each read of the API server. */
  onRead: () => void
}

/** The entry of Disk shop/data, whose object is gone, with one file on host-a unless it has other contents. */
export function newWorld(phase: 'Pending' | 'Binned', policy: Policy = 'Delayed', contents: Contents = ofData()) {
  const host = fakeHost('host-a')
  host.disks.set(FILE, 1)
  const store = newStore(phase, policy, contents)
  const there = new Map<string, Found>()
  const api: Around = { others: [], disks: [], images: [], claimants: [], onRead: () => undefined }
  const place = ({ namespace, name }: { namespace: string; name: string }) => `${namespace}/${name}`
  const reconciler = recycledResourceReconciler({
    fleet: fakeFleet(host),
    bin: newBin(store, api),
    now: () => store.now(),
    get purgesFrom() {
      return api.purgesFrom
    },
    seen: (at) => there.get(place(at)),
    async read(at) {
      api.onRead()
      return there.get(place(at))
    },
    makeNamespace: async () => 'Active',
    create: async (at, { spec }, origin) => {
      if (api.refusal !== undefined) return { type: 'refused', message: api.refusal }
      const annotations = { 'holdfast.dev/recovered-from': origin }
      const object = {
        metadata: meta(at.name, { annotations }),
        spec,
        ...(at.kind === 'Disk' && { status: { id: FILE } }),
      }
      there.set(place(at), object)
      return { type: 'made', object }
    },
    tryOut: async (at) => ({ type: 'made', object: { metadata: meta(at.name) } }),
    disown: async () => undefined,
    claimants: () => api.claimants,
    isAwaited: () => false,
    disksOfFile: () => api.disks,
    downloadedAs: () => api.images,
    emit: () => undefined,
  })
  const uid = store.stored?.spec.resource.uid ?? ''
  const settle = () => store.settle(reconciler)
  return { store, host, there, api, uid, settle, look: () => store.reconcile(reconciler) }
}

function newBin(store: FakeStore<RecycledResource>, api: Around) {
  return {
    async fill(entry: RecycledResource, kept: Contents) {
      store.change(({ spec }) => void (spec.contents = kept))
      return entry
    },
    ofDownload: () => api.others,
    ofFile: () => api.others,
    remove: async () => store.put(undefined),
  }
}

function newStore(phase: 'Pending' | 'Binned', policy: Policy, contents: Contents): FakeStore<RecycledResource> {
  const recycled = new FakeBin()
  recycled.policy = policy
  const { spec, ...entry } = recycled.stamp(disk('data'))
  if (phase === 'Pending') return new FakeStore<RecycledResource>({ ...entry, spec })
  return new FakeStore<RecycledResource>({ ...entry, spec: { ...spec, contents }, status: { phase } })
}

function ofData(): Contents {
  const held = { ...binnedDisk('data'), id: FILE }
  return { manifest: { metadata: { name: 'data' }, spec: { size: '1Gi' } }, host: 'host-a', disks: [held] }
}

/** A Disk of that namespace that asks for the file. */
export const asking = (namespace: string) =>
  newDisk({ source: { existing: { id: FILE } } }, { name: 'other', namespace })

/** The entry of a Disk that has the file too. */
export function anotherEntry(
  name: string,
  policy: 'Delayed' | 'Never',
  phase: 'Binned' | 'Recovering' = 'Binned',
): RecycledResource {
  const found = newEntry('Disk', `entry of ${name}`, { disks: [{ ...binnedDisk(name), id: FILE }] })
  return { ...found, spec: { ...found.spec, deletion: { ...found.spec.deletion, policy } }, status: { phase } }
}
