import { isDeepStrictEqual } from 'node:util'
import * as z from 'zod'
import type { Resource } from '../../crds/kind.ts'
import {
  originOf,
  RECOVER_ANNOTATION,
  RECOVERED_FROM_ANNOTATION,
  RecycledResource,
} from '../../crds/recycled-resource.ts'
import { ownRootName, VirtualMachine } from '../../crds/virtual-machine.ts'
import { knownBytes } from '../../policy/quantity.ts'
import { disksOfMachine } from '../../policy/recycled-contents.ts'
import { heldAs, holdsNothing, recoverCommand, recoveryObjection, wasTakenAlong } from '../../policy/recovery.ts'
import { nameOf } from '../review.ts'
import { nameReuseOf } from './name-reuse.ts'
import { hasOwner } from './owner-references.ts'
import { refuse } from './rule.ts'
import { permissionOn, type Guarded, type WriteFacts } from './write.ts'

const entryName = z.uuid()

/** Whether an entry of the recycle bin can have that name. */
export function isEntryName(name: string): boolean {
  return entryName.safeParse(name).success
}

/** Bringing back is a permission, however it is asked for. */
export const recovery: Guarded = {
  needs({ recovery: wanted }) {
    if (!wanted) return undefined
    const { group, plural } = RecycledResource
    return { verb: 'recover', group, plural, name: wanted.name }
  },
  message({ person, recovery: wanted }) {
    const how = 'ask for the permission recover on recycledresources, or make a new one with the annotation'
    return `${person} may not bring back what was deleted (${wanted?.name}): ${how} holdfast.dev/on-name-reuse: Fresh`
  },
}

/** What somebody else owned is brought back by who may give things to others. */
export const recoveryOfOthers: Guarded = {
  needs({ kind, object, owner, recovery: wanted }) {
    const was = wanted?.owner
    return was === undefined || was === owner ? undefined : permissionOn('setOwner', kind, object)
  },
  message({ person, kind, recovery: wanted }) {
    return `${person} may not bring back what ${wanted?.owner} owns: let them do it, or ask for the permission setOwner on ${kind.plural}`
  },
}

/** The annotation that asks for an entry names one. */
export function recoverIsName({ object, before }: WriteFacts) {
  const given = object.metadata.annotations?.[RECOVER_ANNOTATION]
  if (before || given === undefined || isEntryName(given)) return undefined
  return refuse(
    'AnnotationInvalid',
    `the annotation ${RECOVER_ANNOTATION} is ${given}: write the name of an entry, as kubectl get recycled shows it`,
  )
}

/** Where an object comes from is for nobody but admission to say. */
export function originIsOurs(facts: WriteFacts) {
  const { object, before } = facts
  const origin = originOf(object.metadata)
  if (before ? origin === originOf(before.metadata) : isExplained(facts, origin)) return undefined
  return refuse(
    'NotByHand',
    `the annotation ${RECOVERED_FROM_ANNOTATION} is set by Holdfast alone: to bring something back, use ${RECOVER_ANNOTATION}`,
  )
}

function isExplained({ object, settings, recovery: wanted }: WriteFacts, origin: string | undefined): boolean {
  const named = object.metadata.annotations?.[RECOVER_ANNOTATION]
  if (named !== undefined || origin === undefined) return origin === named
  const { entry } = wanted ?? {}
  const holds = entry !== undefined && (isOfName(entry, object) || wasTakenAlong(entry, object))
  return holds && nameReuseOf(object, settings) === 'Restore'
}

function isOfName({ spec: { resource } }: RecycledResource, { kind, metadata }: Resource): boolean {
  const { namespace, name } = resource
  return resource.kind === kind && namespace === metadata.namespace && name === metadata.name
}

/** What is asked for can be had. */
export function isRecoverable({ object, binned, recovery: wanted }: WriteFacts) {
  if (!wanted) return undefined
  const { name, entry } = wanted
  if (!entry) {
    const [newest] = binned
    const other = newest ? `, which has entry ${newest.metadata.name} of this name` : ''
    return refuse(
      'NotRecoverable',
      `there is no entry ${name} in the recycle bin${other}: it was brought back or destroyed; leave the annotation ${RECOVER_ANNOTATION} out, or name another`,
    )
  }
  const objection = recoveryObjection(entry, object)
  return objection === undefined ? undefined : refuse('NotRecoverable', `entry ${name} of the recycle bin ${objection}`)
}

/**
 * Something that is there may own what is brought back, and whoever deletes that has the garbage collector delete this, whatever
 * kept it in the bin. To add an owner afterwards passes the guards of a delete.
 */
export function comesWithoutOwners({ object, recovery: wanted }: WriteFacts) {
  if (!wanted || !hasOwner(object)) return undefined
  return refuse(
    'NotRecoverable',
    'what is brought back from the recycle bin has no owners at first: leave metadata.ownerReferences out, and add them once it is there; or make a new one with the annotation holdfast.dev/on-name-reuse: Fresh',
  )
}

/** What somebody should know whose manifest brings something back, or would like to. */
export function recoveryWarnings(facts: WriteFacts): string[] {
  const { object, before, recovery: wanted } = facts
  if (before) return isAskedTooLate(object, before) ? [TOO_LATE] : []
  if (!wanted?.entry) return []
  const { entry, name } = wanted
  if (holdsNothing(entry)) return [`entry ${name} ${NOTHING_IN_IT}`]
  const { resource, deletion } = entry.spec
  const by = `deleted by ${deletion.by} at ${deletion.at}`
  const machine = nameOf(resource.kind, resource)
  const what = wasTakenAlong(entry, object)
    ? `${nameOf(object.kind, object.metadata)} comes back from the recycle bin (${name}) together with ${machine}, ${by}: apply that too, or run: ${recoverCommand(name)}`
    : `${machine}, ${by}, is brought back from the recycle bin (${name})`
  return [what, ...differences(object, entry)]
}

const TOO_LATE = `the annotation ${RECOVER_ANNOTATION} does nothing here: it is read when an object is made, and this one is there already`

const NOTHING_IN_IT =
  'of the recycle bin holds nothing, for nobody saw its object before that went: this one is made anew, as its manifest says'

function isAskedTooLate({ metadata }: Resource, before: Resource): boolean {
  const now = metadata.annotations?.[RECOVER_ANNOTATION]
  const isNew = now !== before.metadata.annotations?.[RECOVER_ANNOTATION]
  return now !== undefined && isNew && now !== originOf(metadata)
}

const manifest = z.object({ spec: z.record(z.string(), z.unknown()) })

/** What of the manifest is not done to what is there already. */
function differences(object: Resource, entry: RecycledResource): string[] {
  const before = specIn(entry.spec.contents)
  if (object.kind === VirtualMachine.kind) {
    const hasRoot = disksOfMachine(entry, object.metadata.name).some(({ isRoot }) => isRoot)
    return before && hasRoot ? ofMachine(object, before) : []
  }
  const held = heldAs(entry, object)
  const wasDisk = held?.manifest ? specIn(held) : before
  return held && wasDisk ? ofDisk(object, wasDisk, held.size) : []
}

function specIn(from: { readonly manifest?: unknown } | undefined): Spec | undefined {
  return manifest.safeParse(from?.manifest).data?.spec
}

type Spec = Resource['spec']

function ofMachine({ metadata, spec }: Resource, before: Spec): string[] {
  if (isDeepStrictEqual(spec['rootDisk'], before['rootDisk'])) return []
  const disk = `Disk ${ownRootName(metadata.name)}`
  return [`spec.rootDisk is another than before: ${disk} comes back as it was, and nothing is written to it`]
}

function ofDisk({ spec }: Resource, before: Spec, size: string): string[] {
  const isSmaller = (knownBytes(String(spec['size'])) ?? 0) < (knownBytes(size) ?? 0)
  const isOther = !isDeepStrictEqual(spec['source'], before['source'])
  return [
    ...(isSmaller ? [`spec.size is smaller than before: the disk keeps its ${size}`] : []),
    ...(isOther ? ['spec.source is another than before: the disk comes back with what is on it'] : []),
  ]
}
