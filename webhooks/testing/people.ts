import { DataStorage } from '../../crds/data-storage.ts'
import { Disk } from '../../crds/disk.ts'
import { Host } from '../../crds/host.ts'
import { Image } from '../../crds/image.ts'
import type { Kind, Resource } from '../../crds/kind.ts'
import { PlatformSettings } from '../../crds/platform-settings.ts'
import { RecycledResource } from '../../crds/recycled-resource.ts'
import { VirtualMachine } from '../../crds/virtual-machine.ts'
import type { Kube, Reply } from '../../lib/kube/client.ts'
import { isKubeError, KubeError } from '../../lib/kube/errors.ts'
import { collectionPath, objectPath, type Endpoint } from '../../lib/kube/paths.ts'

const namespace = 'default'
const specs = new Map<Kind, object>([
  [VirtualMachine, { memory: '1Gi', rootDisk: { imageRef: { name: 'debian' } } }],
  [Disk, { size: '1Gi' }],
  [Image, { source: { file: { path: 'debian.qcow2' } } }],
  [Host, { address: '127.0.0.1' }],
  [DataStorage, { local: { host: 'host-a', path: '/srv/disks' } }],
  [PlatformSettings, {}],
])

/** Metadata and spec beyond those that are enough. */
export interface More {
  readonly namespace?: string
  readonly labels?: Record<string, string>
  readonly annotations?: Record<string, string>
  readonly ownerReferences?: readonly object[]
  readonly spec?: object
}

/** Creates an object. */
export async function make(kube: Kube, kind: Kind, name: string, more: More = {}): Promise<Resource> {
  return (await create(kube, kind, name, more)).body
}

/** Creates an object, and returns what is said to it too. */
export async function create(
  kube: Kube,
  kind: Kind,
  name: string,
  { spec, dryRun, ...metadata }: More & { readonly dryRun?: true } = {},
): Promise<Reply<Resource>> {
  const where = kind.scope === 'Cluster' ? {} : { namespace: metadata.namespace ?? namespace }
  const body = {
    apiVersion: `${kind.group}/${kind.version}`,
    kind: kind.kind,
    metadata: { name, ...metadata, ...where },
    spec: { ...specs.get(kind), ...spec },
  }
  const path = collectionPath(kind, where.namespace)
  return kube.send<Resource>({ method: 'POST', path, body, ...(dryRun && { query: { dryRun: 'All' } }) })
}

/** Deletes an object, in namespace default unless told otherwise. */
export async function remove(kube: Kube, kind: Endpoint, name: string, more: Deleting = {}): Promise<Reply<unknown>> {
  const { dryRun, namespace: within, ...options } = more
  const path = objectPath(kind, { name, namespace: within ?? namespace })
  // In the body: beside one, the query is not read.
  return kube.send({ method: 'DELETE', path, body: { ...options, ...(dryRun && { dryRun: ['All'] }) } })
}

export interface Deleting {
  readonly dryRun?: true
  readonly namespace?: string
  readonly gracePeriodSeconds?: number
  readonly propagationPolicy?: string
}

/** Changes an object by a merge patch. */
export async function change(kube: Kube, kind: Kind, name: string, body: object): Promise<Reply<Resource>> {
  const path = objectPath(kind, { name, namespace })
  return kube.send<Resource>({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body })
}

/** Writes a status as a controller would. */
export async function report(kube: Kube, kind: Kind, name: string, status: object): Promise<void> {
  const path = objectPath(kind, { name, namespace }, 'status')
  await kube.send({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body: { status } })
}

/** The entry of the recycle bin for a uid; undefined where there is none. */
export async function entryOf(kube: Kube, uid: string): Promise<RecycledResource | undefined> {
  try {
    const path = objectPath(RecycledResource, { name: uid })
    return (await kube.send<RecycledResource>({ method: 'GET', path })).body
  } catch (error) {
    if (isKubeError(error, 'NotFound')) return undefined
    throw error
  }
}

/** What somebody is told who does something that is refused; `accepted` when it is not. */
export async function answerTo(write: Promise<unknown>): Promise<string> {
  try {
    await write
    return 'accepted'
  } catch (error) {
    if (error instanceof KubeError) return error.message.replace(/^admission webhook "[^"]+" denied the request: /, '')
    throw error
  }
}

/** Sets `PlatformSettings.spec.deletion`. What is left out has its default. */
export async function settle(kube: Kube, deletion: object): Promise<void> {
  const path = objectPath(PlatformSettings, { name: 'default' })
  const body = {
    apiVersion: `${PlatformSettings.group}/${PlatformSettings.version}`,
    kind: PlatformSettings.kind,
    metadata: { name: 'default' },
    spec: { deletion },
  }
  const query = { fieldManager: 'test', force: true }
  await kube.send({ method: 'PATCH', path, query, contentType: 'application/apply-patch+yaml', body })
}

/** Has an entry of the recycle bin in a phase, as the controllers would. */
export async function phaseTo(kube: Kube, uid: string, phase: string): Promise<void> {
  const path = objectPath(RecycledResource, { name: uid }, 'status')
  await kube.send({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body: { status: { phase } } })
}
