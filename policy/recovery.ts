import type { Resource } from '../crds/kind.ts'
import { targetOf, type RecycledResource } from '../crds/recycled-resource.ts'
import { hasTakenAlong, takenAlong, type HeldDisk } from './recycled-contents.ts'

type Wanted = Pick<Resource, 'kind' | 'metadata' | 'spec'>

/**
 * Why an entry of the recycle bin cannot be brought back as an object that is about to be made, as the end of a sentence
 * that starts with the entry; undefined when it can.
 */
export function recoveryObjection(entry: RecycledResource, object: Wanted): string | undefined {
  return objectionToPlace(entry, object) ?? objectionToState(entry) ?? objectionToSpec(entry, object)
}

function objectionToPlace(entry: RecycledResource, wanted: Wanted) {
  const { resource } = entry.spec
  const { kind: was, name } = resource
  const { kind, metadata } = wanted
  const { namespace } = metadata
  if (wasTakenAlong(entry, wanted)) return undefined
  if (was !== kind) return `holds ${was} ${resource.namespace}/${name}, and this is another kind: ${kind}`
  if (resource.namespace === namespace) return undefined
  return `is from namespace ${resource.namespace}: to bring it back into another one, set spec.action and spec.recoverAs of it`
}

/** Whether an object is a Disk that a machine took along into that entry: it comes back with the machine. */
export function wasTakenAlong(entry: RecycledResource, { kind, metadata }: Pick<Wanted, 'kind' | 'metadata'>): boolean {
  return kind === 'Disk' && hasTakenAlong(entry, metadata.namespace, metadata.name)
}

/** What an entry has for a Disk that is brought back from it. */
export function heldAs(entry: RecycledResource, { metadata }: Pick<Wanted, 'metadata'>): HeldDisk | undefined {
  const { resource, contents } = entry.spec
  if (resource.kind !== 'VirtualMachine') return contents?.disks?.[0]
  return takenAlong(entry).find(({ name }) => name === metadata.name)
}

function objectionToState(entry: RecycledResource): string | undefined {
  const { spec, status } = entry
  if (spec.deletion.policy === 'Immediate') return 'is destroyed at once, as its deletion policy says'
  switch (status?.phase ?? 'Pending') {
    case 'Pending':
      return 'is still being put away: try again in a moment'
    case 'Recovering': {
      const { namespace, name } = targetOf(entry)
      return `is being brought back as ${namespace}/${name}: apply this to that one, or wait`
    }
    case 'Purging':
      return 'is being destroyed'
    case 'Binned':
      return spec.action === 'Purge' ? 'is to be destroyed: take spec.action off it first' : undefined
  }
}

/** What the controllers would never get past the schema. All else in a spec may be another than before. */
function objectionToSpec(entry: RecycledResource, wanted: Wanted) {
  if (wanted.kind === 'Disk') return objectionToStorage(heldAs(entry, wanted), wanted)
  const { contents } = entry.spec
  const { adopt } = wanted.spec
  const isAdopting = typeof adopt === 'object' && adopt !== null && 'machineId' in adopt
  if (!isAdopting || adopt.machineId === contents?.machineId) return undefined
  return 'is another machine than the one in spec.adopt: leave that out'
}

function objectionToStorage(held: HeldDisk | undefined, { spec: { dataStorage } }: Wanted) {
  if (!held || dataStorage === undefined || dataStorage === held.dataStorage) return undefined
  return `has its file on DataStorage ${held.dataStorage}: write that into spec.dataStorage, or leave it out`
}

/**
 * The one of these entries of one name that a create of that name brings back: the newest that is to be had there. One with
 * nothing but a manifest, of a machine that never ran say, comes back for that alone, and hides none that has more.
 */
export function newestOf(entries: readonly RecycledResource[]): RecycledResource | undefined {
  const all = newestFirst(entries.filter(isToBeHad))
  return all.find((entry) => !entry.spec.contents || holdsMore(entry.spec.contents)) ?? all[0]
}

/**
 * Whether there is nothing in an entry that could come back: nobody saw its object before that went, or somebody else than
 * Holdfast wrote it. One that is still being put away holds nothing yet, and will.
 */
export function holdsNothing({ spec: { contents } }: RecycledResource): boolean {
  if (!contents) return false
  return Object.keys(contents.manifest).length === 0 && !holdsMore(contents)
}

/** Whether there is more than a manifest, of which all can be made anew. */
function holdsMore({ machineId, disks = [], download }: NonNullable<RecycledResource['spec']['contents']>): boolean {
  return machineId !== undefined || disks.length > 0 || download !== undefined
}

/** What finds entries by what was deleted. */
export function entryKey(kind: string, namespace: string | undefined, name: string): string {
  return `${kind}/${namespace ?? ''}/${name}`
}

/** How a user has the entry of that name brought back, there or as another one. */
export function recoverCommand(
  entry: string,
  recoverAs?: { readonly namespace: string; readonly name: string },
): string {
  const spec = { action: 'Recover', ...(recoverAs && { recoverAs }) }
  return `kubectl patch recycled ${entry} --type=merge -p '${JSON.stringify({ spec })}'`
}

/**
 * Entries by when they were made, the last one first, for `deletion.at` is an estimate that may be a second off. Of one
 * second the one that was written last counts, because the object of the other had to be gone before this one was made.
 */
export function newestFirst(entries: readonly RecycledResource[]): RecycledResource[] {
  const madeAt = ({ metadata }: RecycledResource) => metadata.creationTimestamp
  const version = ({ metadata }: RecycledResource) => Number(metadata.resourceVersion)
  return entries.toSorted((a, b) => madeAt(b).localeCompare(madeAt(a)) || version(b) - version(a))
}

/** Whether a create can bring an entry back. */
export function isToBeHad(entry: RecycledResource): boolean {
  const { resource, deletion, action } = entry.spec
  const { phase } = entry.status ?? {}
  if (deletion.policy === 'Immediate' || action === 'Purge' || phase === 'Purging' || holdsNothing(entry)) return false
  const target = targetOf(entry)
  return phase !== 'Recovering' || (target.namespace === resource.namespace && target.name === resource.name)
}
