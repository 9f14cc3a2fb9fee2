import { OWNER_LABEL } from '../crds/deletion.ts'
import { ownedKinds } from '../crds/index.ts'
import type { Resource } from '../crds/kind.ts'
import { RecycledResource, type RecyclableKind } from '../crds/recycled-resource.ts'
import type { Kube } from '../lib/kube/client.ts'
import { isKubeError } from '../lib/kube/errors.ts'
import { collectionPath, objectPath } from '../lib/kube/paths.ts'
import { readIfThere } from '../lib/kube/read.ts'
import type { Contents } from '../policy/recycled-contents.ts'
import { isToBeHad, newestFirst, newestOf, wasTakenAlong } from '../policy/recovery.ts'

type Deletion = RecycledResource['spec']['deletion']

export interface Stamp {
  readonly kind: RecyclableKind
  readonly object: Resource
  readonly deletion: Deletion
  /** What is kept of the object if nobody puts it away. */
  readonly lastSeen: Contents | undefined
}

const ATTEMPTS = 5

/**
 * Writes down how an object is deleted, in the entry of the recycle bin that has its uid as name. A later delete of an
 * object that still lives replaces what an earlier one wrote, which then came to nothing. Once the object is deleted nobody
 * replaces it: a delete may have been stored while another was still judged. Throws KubeError.
 */
export async function stampEntry(kube: Pick<Kube, 'send'>, stamp: Stamp): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await stampOnce(kube, stamp)
      return
    } catch (error) {
      const isRace = isKubeError(error, 'Conflict', 'AlreadyExists', 'NotFound')
      if (!isRace || attempt >= ATTEMPTS) throw error
    }
  }
}

async function stampOnce(kube: Pick<Kube, 'send'>, stamp: Stamp): Promise<void> {
  const before = await readEntry(kube, stamp.object.metadata.uid)
  if (!before) {
    await kube.send({ method: 'POST', path: collectionPath(RecycledResource), body: newEntry(stamp) })
    return
  }
  const isPending = (before.status?.phase ?? 'Pending') === 'Pending' && before.spec.contents === undefined
  if (!isPending || isSameDelete(before.spec.deletion, stamp.deletion)) return
  if (!(await isAlive(kube, stamp.object))) return
  const body = { ...before, spec: { ...before.spec, ...decided(stamp) } }
  await kube.send({ method: 'PUT', path: objectPath(RecycledResource, before.metadata), body })
}

/** Whether an object is still there, and nobody has deleted it. */
async function isAlive(
  kube: Pick<Kube, 'send'>,
  { kind, metadata: { namespace, name, uid } }: Resource,
): Promise<boolean> {
  const endpoint = ownedKinds.find((one) => one.kind === kind)
  if (!endpoint) return false
  const found = await readIfThere<Resource>(kube, objectPath(endpoint, { namespace, name }))
  return found?.metadata.uid === uid && found.metadata.deletionTimestamp === undefined
}

/** The API server asks again within a moment, on every conflict. */
function isSameDelete(was: Deletion, is: Deletion): boolean {
  const isSoon = Math.abs(Date.parse(is.at) - Date.parse(was.at)) < SAME_MS
  return isSoon && was.by === is.by && was.policy === is.policy && was.retention === is.retention
}

const SAME_MS = 1_000

/** The entry of that name, as the API server has it now. Throws KubeError. */
export async function readEntry(kube: Pick<Kube, 'send'>, name: string): Promise<RecycledResource | undefined> {
  return readIfThere(kube, objectPath(RecycledResource, { name }))
}

/** A name that is made and deleted every minute has thousands of entries; of so many at a time the newest is kept. */
const PAGE = 50
/** So many machines at most are asked whether they took a disk along: those that were deleted last. */
const MAX_MACHINES = 20

/**
 * The entry that a create of this kind and name brings back, by what the API server has now; undefined where there is none
 * to be had. `withMachines` are entries of machines that may have taken a Disk of this name along, as they were last seen: the API
 * server finds no entry by what is in it. One that it wrote a moment ago may be missing there; then the Disk is made anew, and
 * the recovery of the machine says `NameTaken`. Throws KubeError.
 */
export async function findNewestEntry(
  kube: Pick<Kube, 'send'>,
  object: Resource,
  withMachines: readonly RecycledResource[],
): Promise<RecycledResource | undefined> {
  const { kind, metadata } = object
  const { namespace = '', name } = metadata
  if (name === '') return undefined // It has yet to be given.
  const last = newestFirst(withMachines.filter(isToBeHad)).slice(0, MAX_MACHINES)
  const found = await Promise.all(last.map((entry) => readEntry(kube, entry.metadata.name)))
  let newest = newestOf(found.flatMap((entry) => (entry && wasTakenAlong(entry, object) ? entry : [])))
  for await (const items of pagesOf(kube, { kind, namespace, name })) {
    newest = newestOf([...(newest ? [newest] : []), ...items])
  }
  return newest
}

/** Entries whose object has these fields, as they were when the first page was asked for. */
async function* pagesOf(
  kube: Pick<Kube, 'send'>,
  fields: Record<string, string>,
): AsyncGenerator<readonly RecycledResource[]> {
  const fieldSelector = Object.entries(fields)
    .map(([field, value]) => `spec.resource.${field}=${value}`)
    .join(',')
  let next: string | undefined
  do {
    const query = { fieldSelector, limit: PAGE, ...(next !== undefined && { continue: next }) }
    const page: Page = (await kube.send<Page>({ method: 'GET', path: collectionPath(RecycledResource), query })).body
    yield page.items
    next = page.metadata.continue
  } while (next !== undefined && next !== '')
}

interface Page {
  readonly metadata: { readonly continue?: string }
  readonly items: readonly RecycledResource[]
}

function decided({ deletion, lastSeen }: Stamp) {
  return { deletion, ...(lastSeen && { lastSeen }) }
}

function newEntry(stamp: Stamp): object {
  const { kind, object } = stamp
  const { apiVersion, metadata } = object
  const { name, namespace = '', uid, labels } = metadata
  const owner = labels?.[OWNER_LABEL]
  const spec: RecycledResource['spec'] = { resource: { apiVersion, kind, namespace, name, uid }, ...decided(stamp) }
  return {
    apiVersion: `${RecycledResource.group}/${RecycledResource.version}`,
    kind: RecycledResource.kind,
    metadata: { name: uid, ...(owner !== undefined && { labels: { [OWNER_LABEL]: owner } }) },
    spec,
  }
}
