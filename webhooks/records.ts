import { createHash } from 'node:crypto'
import * as z from 'zod'
import { brakeRecords, parseBrakeState, RECORD_LABEL, toBrakeData, type BrakeState } from '../crds/brake-record.ts'
import type { Resource } from '../crds/kind.ts'
import type { Kube } from '../lib/kube/client.ts'
import { isKubeError } from '../lib/kube/errors.ts'
import { collectionPath, objectPath, type Endpoint } from '../lib/kube/paths.ts'
import { readIfThere } from '../lib/kube/read.ts'
import { freshBrake } from '../policy/brake.ts'

const CONFIG_MAPS: Endpoint = { group: '', version: 'v1', plural: 'configmaps', scope: 'Namespaced' }
const NAMESPACES: Endpoint = { group: '', version: 'v1', plural: 'namespaces', scope: 'Cluster' }
const NAMESPACE = brakeRecords.namespace

const configMap = z.object({
  metadata: z.object({ resourceVersion: z.string() }),
  data: z.record(z.string(), z.string()).default({}),
})

/** What was read of one person's brake on one kind, to be replaced only if nobody else did meanwhile. */
export interface BrakeRecord {
  readonly state: BrakeState
  /** Undefined when there is none yet. */
  readonly version: string | undefined
}

/** Reads it from the API server's storage. Throws where it cannot be read: then nothing is deleted. */
export async function readBrake(kube: Pick<Kube, 'send'>, person: string, kind: string): Promise<BrakeRecord> {
  const found = await read(kube, brakeName(person, kind))
  if (!found) return { state: freshBrake, version: undefined }
  return { state: parseBrakeState(found.data), version: found.metadata.resourceVersion }
}

/** False when somebody else was faster: then it is to be read and decided anew. */
export async function writeBrake(
  kube: Pick<Kube, 'send'>,
  { person, kind }: { readonly person: string; readonly kind: string },
  { version }: BrakeRecord,
  state: BrakeState,
): Promise<boolean> {
  const name = brakeName(person, kind)
  const data = toBrakeData({ person, kind, state })
  const labels = { [RECORD_LABEL]: 'brake' }
  return put(kube, { metadata: { name, labels, ...(version !== undefined && { resourceVersion: version }) }, data })
}

function brakeName(person: string, kind: string): string {
  return `brake-${createHash('sha256')
    .update(JSON.stringify([person, kind]))
    .digest('hex')
    .slice(0, 32)}`
}

export interface DeletedNamespace {
  readonly name: string
  readonly uid: string
  readonly person: string
  /** By the clock of the API server. */
  readonly at: Date
}

/** A delete of a namespace that was seen is stored within this time, or came to nothing. */
const STORED_WITHIN_MS = 60_000
/** The API server asks again within a moment. */
const SAME_MS = 1_000

/** Two that delete one namespace at once are in each other's way once. */
const ATTEMPTS = 2

/** Keeps who deleted a namespace until it is gone: the garbage collector then takes the record. Throws where it cannot. */
export async function recordNamespace(kube: Pick<Kube, 'send'>, deleted: DeletedNamespace): Promise<void> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) if (await recordOnce(kube, deleted)) return
  throw new Error(`the record of namespace ${deleted.name} changes faster than it can be written`)
}

/** False when somebody else was faster. */
async function recordOnce(kube: Pick<Kube, 'send'>, { name, uid, person, at }: DeletedNamespace): Promise<boolean> {
  const data = { person, uid, at: at.toISOString() }
  const found = await read(kube, namespaceName(name))
  const isSame = found?.data['uid'] === uid && found.data['person'] === person
  if (isSame && Math.abs(Date.parse(found.data['at'] ?? '') - at.getTime()) < SAME_MS) return true
  const owner = { apiVersion: 'v1', kind: 'Namespace', name, uid }
  const version = found && { resourceVersion: found.metadata.resourceVersion }
  const labels = { [RECORD_LABEL]: 'namespace' }
  return put(kube, { metadata: { name: namespaceName(name), labels, ownerReferences: [owner], ...version }, data })
}

/**
 * Who deleted that namespace; undefined when nobody was seen to. A delete of an older one of that name, or one that came
 * to nothing, was not this.
 */
export async function whoDeletedNamespace(kube: Pick<Kube, 'send'>, name: string): Promise<string | undefined> {
  const [record, namespace] = await Promise.all([
    read(kube, namespaceName(name)),
    readIfThere<Resource>(kube, objectPath(NAMESPACES, { name })),
  ])
  if (!record || !namespace || record.data['uid'] !== namespace.metadata.uid) return undefined
  const lateMs = Date.parse(namespace.metadata.deletionTimestamp ?? '') - Date.parse(record.data['at'] ?? '')
  return Math.abs(lateMs) < STORED_WITHIN_MS ? record.data['person'] : undefined
}

function namespaceName(name: string): string {
  return `namespace-${name}`
}

async function read(kube: Pick<Kube, 'send'>, name: string): Promise<z.output<typeof configMap> | undefined> {
  const found = await readIfThere<unknown>(kube, objectPath(CONFIG_MAPS, { namespace: NAMESPACE, name }))
  return found === undefined ? undefined : configMap.parse(found)
}

interface Written {
  readonly metadata: { readonly name: string; readonly resourceVersion?: string; readonly [field: string]: unknown }
  readonly data: Readonly<Record<string, string>>
}

async function put(kube: Pick<Kube, 'send'>, body: Written): Promise<boolean> {
  const { name, resourceVersion } = body.metadata
  const isNew = resourceVersion === undefined
  const path = isNew ? collectionPath(CONFIG_MAPS, NAMESPACE) : objectPath(CONFIG_MAPS, { namespace: NAMESPACE, name })
  try {
    await kube.send({ method: isNew ? 'POST' : 'PUT', path, body: { apiVersion: 'v1', kind: 'ConfigMap', ...body } })
    return true
  } catch (error) {
    if (isKubeError(error, 'Conflict', 'AlreadyExists', 'NotFound')) return false
    throw error
  }
}
