import { OWNER_LABEL, type DeletionSettings } from '../../crds/deletion.ts'
import { Disk } from '../../crds/disk.ts'
import { Image } from '../../crds/image.ts'
import { RecycledResource, type RecyclableKind } from '../../crds/recycled-resource.ts'
import { makerOf, type VirtualMachine } from '../../crds/virtual-machine.ts'
import type { ObjectCache } from '../../lib/kube/cache.ts'
import type { Kube } from '../../lib/kube/client.ts'
import { isKubeError } from '../../lib/kube/errors.ts'
import { collectionPath, objectPath } from '../../lib/kube/paths.ts'
import { readIfThere } from '../../lib/kube/read.ts'
import { objectWriter } from '../../lib/kube/writer.ts'
import { decideDeletion, entriesOfMaker, toStamp, type DeletionDecision } from '../../policy/deletion.ts'
import { contentsOfDisk, contentsOfImage, contentsOfMachine, type Contents } from '../../policy/recycled-contents.ts'
import { entryKey } from '../../policy/recovery.ts'
import { FIELD_MANAGER } from '../cluster/controller.ts'
import type { EntryIndex } from '../cluster/caches.ts'

/**
 * What the finalizers of the kinds that have a recycle bin do with it. Each step is stored by itself and can be done
 * again; what somebody else changed meanwhile ends in a KubeError Conflict, after which all is looked at anew.
 */
export interface RecycleBin {
  /** The entry of this name as it was last seen. */
  find(this: void, name: string): RecycledResource | undefined
  /** What a delete does by kind, as it is set now. */
  settings(this: void): DeletionSettings
  /** The entry of this name as the API server has it now. */
  read(this: void, name: string): Promise<RecycledResource | undefined>
  /** Entries of what was deleted under that kind and name, and can be brought back. */
  ofObject(this: void, kind: RecyclableKind, namespace: string, name: string): readonly RecycledResource[]
  /** Entries of Disks that were made for a machine and deleted by themselves, and can be brought back. */
  ofMaker(this: void, machineId: string): readonly RecycledResource[]
  /** Entries of machines of that namespace that took a Disk of this name along. */
  ofDisk(this: void, namespace: string, name: string): readonly RecycledResource[]
  /** Entries that hold the file of a disk. */
  ofFile(this: void, id: string): readonly RecycledResource[]
  /** Entries that an Ethernet address is kept for. */
  ofMac(this: void, mac: string): readonly RecycledResource[]
  /** Entries that hold what hosts downloaded of this digest. */
  ofDownload(this: void, sha256: string): readonly RecycledResource[]
  /**
   * The entry of an object that is being deleted, with the policy that its delete was stamped with. Where admission left
   * none, it is decided and stored now; where it left nothing that could be kept for good, what is seen now is. Nothing
   * when the object is gone already.
   */
  open(this: void, object: Deleted): Promise<RecycledResource | undefined>
  /** Stores what is needed to bring the object back, unless that is stored. */
  fill(this: void, entry: RecycledResource, contents: Contents): Promise<RecycledResource>
  /** Takes disks out again, by their uids, that are to stay after all. */
  leaveOut(this: void, entry: RecycledResource, uids: readonly string[]): Promise<RecycledResource>
  /** Says that the object is in the bin. From then on it can be brought back. */
  close(this: void, entry: RecycledResource): Promise<void>
  /** Removes this very state of an entry. */
  remove(this: void, entry: RecycledResource): Promise<void>
}

/** An object of a kind that has a recycle bin. */
export type Deleted = VirtualMachine | Disk | Image

export interface RecycleBinDeps {
  readonly kube: Pick<Kube, 'send'>
  readonly cache: ObjectCache<RecycledResource, EntryIndex>
  readonly settings: () => DeletionSettings
  /** Whether the API server has that very object. */
  readonly isThere: (object: Deleted) => Promise<boolean>
}

/** Of a delete that no webhook saw. */
const UNKNOWN_PERSON = 'unknown'

/** The recycle bin in the API server. */
export function newRecycleBin({ kube, cache, settings, isThere }: RecycleBinDeps): RecycleBin {
  const writer = objectWriter(kube, RecycledResource, FIELD_MANAGER, cache)
  const keep = (entry: RecycledResource) => {
    cache.put(entry)
    return cache.get(entry.metadata.name) ?? entry
  }
  const read = async (name: string) => {
    const found = await readIfThere<RecycledResource>(kube, objectPath(RecycledResource, { name }))
    return found && keep(found)
  }
  const replace = async (entry: RecycledResource, spec: RecycledResource['spec']) => {
    const path = objectPath(RecycledResource, entry.metadata)
    const query = { fieldManager: FIELD_MANAGER }
    const body = { ...entry, ...type, spec }
    return keep((await kube.send<RecycledResource>({ method: 'PUT', path, query, body })).body)
  }
  const ofObject: RecycleBin['ofObject'] = (kind, namespace, name) =>
    cache.by('object', entryKey(kind, namespace, name)).filter(isKept)
  const ofMachine = (machineId: string) => cache.by('machine', machineId).filter(isKept)
  return {
    find: (name) => cache.get(name),
    settings,
    read,
    ofObject,
    ofMaker: (machineId) => cache.by('maker', machineId).filter(isKept),
    ofDisk: (namespace, name) => cache.by('disk', `${namespace}/${name}`).filter(isKept),
    ofFile: (id) => cache.by('file', id),
    ofMac: (mac) => cache.by('mac', mac),
    ofDownload: (sha256) => cache.by('download', sha256),
    async open(object) {
      const { uid } = object.metadata
      const known = cache.get(uid) ?? (await read(uid))
      if (known) return isUnseen(known) ? replace(known, withLastSeen(known.spec, object)) : known
      // Who looks at what is gone already must not put it away again.
      if (!(await isThere(object))) return undefined
      const binned = isDisk(object) ? entriesOfMaker(object, { ofObject, ofMachine }) : []
      return keep(await create(kube, object, { settings: settings(), binned }))
    },
    async fill(entry, contents) {
      if (entry.spec.contents) return entry
      const { lastSeen: _, ...spec } = entry.spec
      return replace(entry, { ...spec, contents })
    },
    async leaveOut(entry, uids) {
      const { contents } = entry.spec
      const disks = contents?.disks?.filter(({ uid }) => !uids.includes(uid))
      if (!contents || disks?.length === contents.disks?.length) return entry
      return replace(entry, { ...entry.spec, contents: { ...contents, ...(disks && { disks }) } })
    },
    async close(entry) {
      const from = entry.status ?? {}
      if (isOpen(entry)) await writer.changeStatus(entry, { from, to: { ...from, phase: 'Binned' } })
    },
    async remove(entry) {
      await removeExactly(kube, entry)
      cache.delete(entry)
    },
  }
}

/** Whether its object is still being put away, whatever phase somebody else wrote: one that holds nothing brings nothing back. */
export function isOpen({ spec, status }: RecycledResource): boolean {
  return spec.contents === undefined || (status?.phase ?? 'Pending') === 'Pending'
}

function isKept({ spec: { deletion } }: RecycledResource): boolean {
  return deletion.policy !== 'Immediate'
}

const type = {
  apiVersion: `${RecycledResource.group}/${RecycledResource.version}`,
  kind: RecycledResource.kind,
} as const

/** Whether nothing could be kept of its object for good, if that went without being put away. */
function isUnseen({ spec: { deletion, contents, lastSeen } }: RecycledResource): boolean {
  return deletion.policy === 'Never' && !contents && !lastSeen
}

function withLastSeen(spec: RecycledResource['spec'], object: Deleted): RecycledResource['spec'] {
  const lastSeen = lastSeenOf(object, spec.deletion)
  return { ...spec, ...(lastSeen && { lastSeen }) }
}

/** The guest of a machine runs on when that goes without being put away: only one that goes to the bin for good is kept. */
function lastSeenOf(object: Deleted, { policy }: Pick<DeletionDecision, 'policy'>): Contents | undefined {
  if (isDisk(object)) return contentsOfDisk(object)
  if (isImage(object)) return contentsOfImage(object)
  return policy === 'Never' ? contentsOfMachine(object) : undefined
}

function isDisk(object: Deleted): object is Disk {
  return object.kind === Disk.kind
}

function isImage(object: Deleted): object is Image {
  return object.kind === Image.kind
}

interface Circumstances {
  readonly settings: DeletionSettings
  /** What the bin has of the machine that a disk was made for. */
  readonly binned: readonly RecycledResource[]
}

async function create(
  kube: Pick<Kube, 'send'>,
  object: Deleted,
  { settings, binned }: Circumstances,
): Promise<RecycledResource> {
  const { apiVersion, kind, metadata, spec } = object
  const { name, namespace = '', uid, labels, deletionTimestamp = '' } = metadata
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only the controllers of these kinds have a bin
  const recyclable = kind as RecyclableKind
  const now = new Date(deletionTimestamp)
  const machine = makerOf(metadata) === undefined ? undefined : { override: undefined, binned }
  const decision = decideDeletion({ kind: recyclable, override: spec.deletionPolicy, machine, settings, now })
  const owner = labels?.[OWNER_LABEL]
  const resource = { apiVersion, kind: recyclable, namespace, name, uid }
  const body = {
    ...type,
    metadata: { name: uid, ...(owner !== undefined && { labels: { [OWNER_LABEL]: owner } }) },
    spec: withLastSeen({ resource, deletion: toStamp(UNKNOWN_PERSON, decision) }, object),
  }
  const query = { fieldManager: FIELD_MANAGER }
  return (await kube.send<RecycledResource>({ method: 'POST', path: collectionPath(RecycledResource), query, body }))
    .body
}

async function removeExactly(kube: Pick<Kube, 'send'>, { metadata }: RecycledResource): Promise<void> {
  const { uid, resourceVersion } = metadata
  try {
    const path = objectPath(RecycledResource, metadata)
    await kube.send({ method: 'DELETE', path, body: { preconditions: { uid, resourceVersion } } })
  } catch (error) {
    if (!isKubeError(error, 'NotFound')) throw error
  }
}
