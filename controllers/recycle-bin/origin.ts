import type { Resource } from '../../crds/kind.ts'
import {
  originOf,
  OriginReason,
  RECOVER_ANNOTATION,
  RecycledResourceCondition,
  targetOf,
  type RecycledResource,
} from '../../crds/recycled-resource.ts'
import { blocked, waiting, type Outcome } from '../../lib/reconcile/outcome.ts'
import type { Contents } from '../../policy/recycled-contents.ts'
import { recoverCommand, wasTakenAlong } from '../../policy/recovery.ts'
import { isOpen, type RecycleBin } from './bin.ts'

/**
 * What an object finds that has yet to become what it is. New: it is made afresh. Granted: an entry of the recycle bin is
 * being brought back as this very object. Withheld: it is to come from an entry, and does not, or not yet.
 */
export type Origin =
  | { readonly type: 'New' }
  | { readonly type: 'Granted'; readonly entry: RecycledResource; readonly contents: Contents }
  | { readonly type: 'Withheld'; readonly outcome: Outcome }

/**
 * Asks the entry that an object names, as the API server has it now. The annotation alone gives nothing: the entry has to
 * name this object too. And nothing is made afresh in place of what was to come back, so that no empty disk hides a loss.
 */
export async function askOrigin(
  bin: Pick<RecycleBin, 'read'>,
  object: Resource,
  isFor: (entry: RecycledResource) => boolean,
): Promise<Origin> {
  const name = originOf(object.metadata)
  if (name === undefined) return withoutOrigin(object)
  const entry = await bin.read(name)
  if (!entry) return withheld(refused(`${subject(name)} is gone: it was destroyed, or is back as another object`))
  if (isFor(entry)) return { type: 'Granted', entry, contents: entry.spec.contents ?? { manifest: {} } }
  return withheld(objectionOf(entry, object))
}

/** One whose manifest asks for an entry, although nobody asked whether its maker may have that. */
function withoutOrigin({ metadata: { annotations } }: Resource): Origin {
  if (annotations?.[RECOVER_ANNOTATION] === undefined) return { type: 'New' }
  return withheld(refused(`The annotation ${RECOVER_ANNOTATION} came after it was made, or no webhook judged it`))
}

function objectionOf(entry: RecycledResource, object: Resource): Outcome {
  const which = subject(entry.metadata.name)
  const target = targetOf(entry)
  const { phase, conditions } = entry.status ?? {}
  if (phase === 'Purging') return refused(`${which} is being destroyed`)
  if (phase === 'Recovering') return refused(`${which} is brought back as ${target.namespace}/${target.name}: use that`)
  const isWithMachine = wasTakenAlong(entry, object)
  if (!isWithMachine && !isOfKindAndPlace(entry, object)) return refused(`${which} is of another kind or namespace`)
  const next = isWithMachine ? withMachine(entry) : 'It is being brought back from the recycle bin'
  return waiting(OriginReason.Recovering, conditions?.find(isObstacle)?.message ?? next)
}

function isOfKindAndPlace({ spec: { resource } }: RecycledResource, { kind, metadata }: Resource): boolean {
  return resource.kind === kind && resource.namespace === metadata.namespace
}

function withMachine({ metadata, spec: { resource } }: RecycledResource): string {
  const { namespace, name } = resource
  return `It comes back from the recycle bin together with VirtualMachine ${namespace}/${name}: apply that too, or run: ${recoverCommand(metadata.name)}`
}

function isObstacle({ type, status }: { readonly type: string; readonly status: string }): boolean {
  return type === RecycledResourceCondition.ActionPossible && status === 'False'
}

function subject(entry: string): string {
  return `Entry ${entry} of the recycle bin, which it was to come from,`
}

function refused(why: string): Outcome {
  return blocked(
    OriginReason.NotRecoverable,
    `${why}; nothing is made in its place: to have a new one, delete this one, and create it without the annotation ${RECOVER_ANNOTATION}`,
  )
}

function withheld(outcome: Outcome): Origin {
  return { type: 'Withheld', outcome }
}

/**
 * Removes the entry that admission made for the delete of an object which stands for nothing yet: all that it was to be is
 * in another entry still, and a second one of its name would be mistaken for that.
 */
export async function dropEmptyEntry(bin: RecycleBin, { metadata: { uid } }: Resource): Promise<void> {
  const own = bin.find(uid) ?? (await bin.read(uid))
  if (own && isOpen(own)) await bin.remove(own)
}
