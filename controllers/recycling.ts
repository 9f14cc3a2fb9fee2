import * as z from 'zod'
import { Disk } from '../crds/disk.ts'
import { Image } from '../crds/image.ts'
import type { Kind, Resource } from '../crds/kind.ts'
import { originOf, RECOVERED_FROM_ANNOTATION, type RecyclableKind } from '../crds/recycled-resource.ts'
import { VirtualMachine } from '../crds/virtual-machine.ts'
import type { Kube } from '../lib/kube/client.ts'
import { isKubeError } from '../lib/kube/errors.ts'
import { readIfThere } from '../lib/kube/read.ts'
import { collectionPath, keyOf, objectPath, type Endpoint } from '../lib/kube/paths.ts'
import type { ServerClock } from '../lib/kube/server-clock.ts'
import type { EventRecorder } from '../lib/kube/events.ts'
import { defaultDeletion } from '../policy/deletion.ts'
import { wasTakenAlong } from '../policy/recovery.ts'
import type { Caches } from './cluster/caches.ts'
import { FIELD_MANAGER } from './cluster/controller.ts'
import type { Fleet } from './fleet/fleet.ts'
import { newRecycleBin, type RecycleBin } from './recycle-bin/bin.ts'
import type { Creation, Deps, Found, ManagedFields, Place } from './recycled-resource/scope.ts'

type Caller = Pick<Kube, 'send'>

const kinds: Readonly<Record<RecyclableKind, Kind>> = { VirtualMachine, Disk, Image }
const NAMESPACES: Endpoint = { group: '', version: 'v1', plural: 'namespaces', scope: 'Cluster' }

/** The recycle bin as the finalizers use it. */
export function openRecycleBin(kube: Caller, { recycled, platformSettings }: Caches): RecycleBin {
  return newRecycleBin({
    kube,
    cache: recycled,
    settings: () => platformSettings.get('default')?.spec.deletion ?? defaultDeletion,
    async isThere({ kind, metadata: { namespace = '', name, uid } }) {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only these kinds have a bin
      const found = await read(kube, { kind: kind as RecyclableKind, namespace, name })
      return found?.metadata.uid === uid
    },
  })
}

export interface Recycling {
  readonly kube: Caller
  readonly caches: Caches
  readonly fleet: Fleet
  readonly recorder: EventRecorder
  readonly serverClock: ServerClock
  readonly purgesFrom?: Date | undefined
}

/** What the controller of entries looks up, and makes anew. */
export function accessRecycled(
  { kube, caches, fleet, recorder, serverClock, purgesFrom }: Recycling,
  bin: RecycleBin,
): Deps {
  const { virtualMachines, disks, images } = caches
  const all = { VirtualMachine: virtualMachines, Disk: disks, Image: images }
  return {
    fleet,
    bin,
    now: serverClock.now,
    purgesFrom,
    seen: ({ kind, ...at }) => all[kind].get(keyOf(at)),
    read: (place) => read(kube, place),
    makeNamespace: (name) => makeNamespace(kube, name),
    async create(place, manifest, entry) {
      // Most looks find what an earlier one made.
      const there = all[place.kind].get(keyOf(place))
      const isMade = there !== undefined && originOf(there.metadata) === entry
      const made = isMade ? await madeFrom(kube, place, entry) : undefined
      return made ?? create(kube, [place, manifest, entry])
    },
    tryOut: (...asked) => create(kube, asked, { dryRun: 'All' }),
    disown: (place, object) => disown(kube, place, object),
    claimants: ({ metadata, spec: { resource } }) =>
      claimants(all[resource.kind].by('origin', metadata.name), resource),
    isAwaited: (entry) =>
      disks
        .by('origin', entry.metadata.name)
        .some((disk) => disk.metadata.deletionTimestamp === undefined && wasTakenAlong(entry, disk)),
    disksOfFile: (id) => disks.by('id', id),
    downloadedAs: (sha256) => images.by('download', sha256),
    emit: (object, news) => recorder.record({ object, ...news, action: 'Reconcile' }),
  }
}

async function read(kube: Caller, { kind, ...at }: Place): Promise<Found | undefined> {
  return readIfThere<Found>(kube, objectPath(kinds[kind], at))
}

async function makeNamespace(kube: Caller, name: string): Promise<'Active' | 'Terminating'> {
  const found = await readIfThere<{ status?: { phase?: string } }>(kube, objectPath(NAMESPACES, { name }))
  if (found) return found.status?.phase === 'Terminating' ? 'Terminating' : 'Active'
  const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }
  await kube.send({ method: 'POST', path: collectionPath(NAMESPACES), body })
  return 'Active'
}

/** Without status, owners and finalizers: an owner that is gone would have it deleted again at once. */
async function create(kube: Caller, [place, manifest, entry]: Parameters<Deps['create']>, how = {}): Promise<Creation> {
  const { metadata, spec } = manifest
  const { namespace, name } = place
  const kind = kinds[place.kind]
  const { labels } = metadata
  const annotations = { ...metadata.annotations, [RECOVERED_FROM_ANNOTATION]: entry }
  const body = {
    apiVersion: `${kind.group}/${kind.version}`,
    kind: kind.kind,
    metadata: { namespace, name, ...(labels && { labels }), annotations },
    spec,
  }
  const path = collectionPath(kind, namespace)
  try {
    const call = { method: 'POST', path, query: { fieldManager: FIELD_MANAGER, ...how }, body } as const
    return { type: 'made', object: (await kube.send<Found>(call)).body }
  } catch (error) {
    // NotFound: there is no such namespace.
    if (isKubeError(error, 'Invalid', 'Forbidden', 'NotFound')) return { type: 'refused', message: error.message }
    if (!isKubeError(error, 'AlreadyExists')) throw error
    return (await madeFrom(kube, place, entry)) ?? { type: 'taken' }
  }
}

async function madeFrom(kube: Caller, place: Place, entry: string): Promise<Creation | undefined> {
  const object = await read(kube, place)
  return object && originOf(object.metadata) === entry ? { type: 'made', object } : undefined
}

/** As it was deleted in one namespace, it is wanted back there: only who may make something there may have it. */
function claimants(objects: readonly Resource[], { kind, namespace }: Place): Place[] {
  return objects
    .filter(({ metadata }) => metadata.namespace === namespace && metadata.deletionTimestamp === undefined)
    .toSorted(byAge)
    .map(({ metadata: { name } }) => ({ kind, namespace, name }))
}

function byAge({ metadata: a }: Resource, { metadata: b }: Resource): number {
  return Date.parse(a.creationTimestamp) - Date.parse(b.creationTimestamp) || a.uid.localeCompare(b.uid)
}

/**
 * A field that nobody owns is nobody's conflict: the next apply owns what it sends, and can change or take it away. What
 * we keep is what says where the object came from, and our finalizer.
 */
async function disown(kube: Caller, { kind, ...at }: Place, { metadata }: Found): Promise<void> {
  const { uid, resourceVersion, managedFields = [] } = metadata
  if (!managedFields.some(isOurWrite)) return
  const body = { metadata: { uid, resourceVersion, managedFields: managedFields.map(withoutContents) } }
  const path = objectPath(kinds[kind], at)
  const contentType = 'application/merge-patch+json'
  await kube.send({ method: 'PATCH', path, query: { fieldManager: FIELD_MANAGER }, contentType, body })
}

function isOurWrite({ manager, operation, subresource = '', fieldsV1 }: ManagedFields): boolean {
  const isOurs = manager === FIELD_MANAGER && operation === 'Update' && subresource === ''
  return isOurs && fieldsV1?.['f:spec'] !== undefined
}

function withoutContents(entry: ManagedFields): ManagedFields {
  if (!isOurWrite(entry)) return entry
  const { 'f:finalizers': finalizers } = ownMetadata.parse(entry.fieldsV1?.['f:metadata'])
  const kept = {
    'f:annotations': { [`f:${RECOVERED_FROM_ANNOTATION}`]: {} },
    ...(finalizers && { 'f:finalizers': finalizers }),
  }
  return { ...entry, fieldsV1: { 'f:metadata': kept } }
}

const ownMetadata = z.looseObject({ 'f:finalizers': z.looseObject({}).optional() })
