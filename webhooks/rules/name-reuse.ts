import { ON_NAME_REUSE_ANNOTATION, onNameReuse, type OnNameReuse } from '../../crds/deletion.ts'
import type { RecycledResource } from '../../crds/recycled-resource.ts'
import { nameOf } from '../review.ts'
import { refuse } from './rule.ts'
import type { WriteFacts } from './write.ts'

const annotation = onNameReuse.optional()

/** The annotation says one of its words. */
export function nameReuseIsKnown({ object, before }: WriteFacts) {
  const given = object.metadata.annotations?.[ON_NAME_REUSE_ANNOTATION]
  if (before || annotation.safeParse(given).success) return undefined
  const words = onNameReuse.options.join(' or ')
  return refuse('AnnotationInvalid', `the annotation ${ON_NAME_REUSE_ANNOTATION} is ${given}: write ${words}`)
}

/** A name that is in the recycle bin is free, unless it is said otherwise. */
export function nameIsFree(facts: WriteFacts) {
  const [entry] = facts.binned
  if (!entry || effective(facts) !== 'Deny') return undefined
  return refuse(
    'NameInRecycleBin',
    `${describe(entry)}: bring it back (${recoverCommand(entry)}), purge it, or use another name`,
  )
}

/** What somebody should know who makes an object of a name that is in the recycle bin. */
export function nameReuseWarnings(facts: WriteFacts): string[] {
  const [entry] = facts.binned
  if (facts.before || !entry) return []
  return [
    `${describe(entry)}; this is a new one. To bring the old one back, under another name:`,
    recoverCommand(entry),
  ]
}

function effective({ object, settings }: WriteFacts): OnNameReuse {
  return annotation.parse(object.metadata.annotations?.[ON_NAME_REUSE_ANNOTATION]) ?? settings.onNameReuse
}

function describe({ metadata, spec: { resource, deletion } }: RecycledResource): string {
  return `the recycle bin has ${nameOf(resource.kind, resource)}, deleted by ${deletion.by} at ${deletion.at} (${metadata.name})`
}

function recoverCommand({ metadata }: RecycledResource, isTaken = false): string {
  const spec = { action: 'Recover', ...(isTaken && { recoverAs: { name: 'NAME' } }) }
  return `kubectl patch recycled ${metadata.name} --type=merge -p '${JSON.stringify({ spec })}'`
}
