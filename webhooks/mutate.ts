import { OWNER_LABEL } from '../crds/deletion.ts'
import { Disk } from '../crds/disk.ts'
import { ownedKinds } from '../crds/index.ts'
import type { Resource } from '../crds/kind.ts'
import { originOf, RECOVER_ANNOTATION, RECOVERED_FROM_ANNOTATION } from '../crds/recycled-resource.ts'
import { keyOf } from '../lib/kube/paths.ts'
import { ownerOf } from '../policy/ownership.ts'
import { findNewestEntry, readEntry } from './entries.ts'
import { sha256Hex } from './facts.ts'
import { settingsOf, type Sources } from './sources.ts'
import { parseObject, type AdmissionRequest, type Patch, type Verdict } from './review.ts'
import { nameReuseOf } from './rules/name-reuse.ts'
import { isEntryName } from './rules/recovery.ts'

/** What Holdfast itself writes into the metadata of an object. */
interface Marks {
  readonly owner: string | undefined
  /** Entry of the recycle bin that the object comes from. */
  readonly origin: string | undefined
}

/**
 * Sets the owner of an object that has none yet, and where it comes from: the entry of the recycle bin that its manifest
 * asks for. An update changes neither. Whether all that is permitted is asked when it is validated. Throws KubeError.
 */
export async function mutate(sources: Sources, request: AdmissionRequest): Promise<Verdict> {
  const { operation, resource, subResource, userInfo } = request
  const isOwned = ownedKinds.some(({ group, plural }) => group === resource.group && plural === resource.resource)
  if (!isOwned || subResource !== '' || operation === 'DELETE' || operation === 'CONNECT') return {}
  const object = parseObject(request.object)
  if (operation === 'UPDATE') return { patch: toPatch(object, marksOf(parseObject(request.oldObject))) }
  const { owner = ownerOf(userInfo.username, sha256Hex), origin } = await comingFrom(sources, object)
  return { patch: toPatch(object, { owner, origin }) }
}

function marksOf({ metadata }: Resource): Marks {
  return { owner: metadata.labels?.[OWNER_LABEL], origin: originOf(metadata) }
}

/** What comes back belongs to whom it belonged. */
async function comingFrom({ kube, caches }: Sources, object: Resource): Promise<Marks> {
  const named = object.metadata.annotations?.[RECOVER_ANNOTATION]
  if (named !== undefined) {
    if (!isEntryName(named)) return { owner: undefined, origin: undefined } // It is refused, with the reason.
    const entry = await readEntry(kube, named)
    return { owner: entry?.metadata.labels?.[OWNER_LABEL], origin: named }
  }
  if (nameReuseOf(object, settingsOf(caches)) !== 'Restore') return { owner: undefined, origin: undefined }
  // Not from the cache alone: what was put away a moment ago must not be made afresh.
  const entry = await findNewestEntry(kube, object, ofMachines(caches, object))
  return { owner: entry?.metadata.labels?.[OWNER_LABEL], origin: entry?.metadata.name }
}

/** Entries of machines that may have taken a Disk of this name along. */
function ofMachines({ recycled }: Sources['caches'], { kind, metadata }: Resource) {
  return kind === Disk.kind ? recycled.by('disk', keyOf(metadata)) : []
}

function toPatch({ metadata: { labels, annotations } }: Resource, { owner, origin }: Marks): Patch {
  return [
    ...(labels?.[OWNER_LABEL] === undefined ? setKey('/metadata/labels', labels, OWNER_LABEL, owner) : []),
    ...setKey('/metadata/annotations', annotations, RECOVERED_FROM_ANNOTATION, origin),
  ]
}

/** Sets or removes one key of a map that may not be there. */
function setKey(map: string, texts: Record<string, string> | undefined, key: string, value: string | undefined): Patch {
  if (texts?.[key] === value) return []
  const path = `${map}/${key.replace('/', '~1')}`
  if (value === undefined) return [{ op: 'remove', path }]
  return texts ? [{ op: 'add', path, value }] : [{ op: 'add', path: map, value: { [key]: value } }]
}
