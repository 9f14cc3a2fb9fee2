import { ON_NAME_REUSE_ANNOTATION, onNameReuse, type DeletionSettings, type OnNameReuse } from '../../crds/deletion.ts'
import type { Resource } from '../../crds/kind.ts'
import { RECOVER_ANNOTATION, type RecycledResource } from '../../crds/recycled-resource.ts'
import { recoverCommand, wasTakenAlong } from '../../policy/recovery.ts'
import { nameOf } from '../review.ts'
import { refuse } from './rule.ts'
import type { WriteFacts } from './write.ts'

const annotation = onNameReuse.optional()

/** The annotation says one of its words. */
export function nameReuseIsKnown({ object, before }: WriteFacts) {
  const given = object.metadata.annotations?.[ON_NAME_REUSE_ANNOTATION]
  if (before || annotation.safeParse(given).success) return undefined
  const words = `${onNameReuse.options.slice(0, -1).join(', ')} or ${onNameReuse.options.at(-1)}`
  return refuse('AnnotationInvalid', `the annotation ${ON_NAME_REUSE_ANNOTATION} is ${given}: write ${words}`)
}

/** A name that is in the recycle bin is free, unless it is said otherwise. */
export function nameIsFree(facts: WriteFacts) {
  const { object, settings, recovery, binned } = facts
  const [entry] = binned
  if (!entry || recovery || nameReuseOf(object, settings) !== 'Deny') return undefined
  return refuse(
    'NameInRecycleBin',
    `${describe(entry)}: bring it back (${recoverCommand(entry.metadata.name)}), purge it, or use another name`,
  )
}

/** What somebody should know who makes an object of a name that is in the recycle bin. */
export function nameReuseWarnings(facts: WriteFacts): string[] {
  const [entry] = facts.binned
  if (facts.before || facts.recovery || !entry) return []
  if (wasTakenAlong(entry, facts.object)) {
    const wayBack = `to have the old one, delete this one, and bring that machine back: ${recoverCommand(entry.metadata.name)}`
    return [`${describe(entry)}, which took a Disk of this name along; this is a new one`, wayBack]
  }
  return [
    `${describe(entry)}; this is a new one`,
    `to have the old one, delete this one, and create it with the annotation ${RECOVER_ANNOTATION}: ${entry.metadata.name}`,
  ]
}

/** What a create does whose name is in the recycle bin. */
export function nameReuseOf({ metadata }: Resource, settings: DeletionSettings): OnNameReuse {
  return annotation.safeParse(metadata.annotations?.[ON_NAME_REUSE_ANNOTATION]).data ?? settings.onNameReuse
}

function describe({ metadata, spec: { resource, deletion } }: RecycledResource): string {
  return `the recycle bin has ${nameOf(resource.kind, resource)}, deleted by ${deletion.by} at ${deletion.at} (${metadata.name})`
}
