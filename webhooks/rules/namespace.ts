import type { DeletionPolicy } from '../../crds/deletion.ts'
import { RecycledResource, type RecyclableKind } from '../../crds/recycled-resource.ts'
import { count } from './rule.ts'

/** What becomes of one object in a namespace that is deleted. */
export interface Ending {
  readonly kind: RecyclableKind
  readonly policy: DeletionPolicy
}

const ends = {
  Immediate: 'destroyed at once, and there is no way back',
  Delayed: 'put into the recycle bin',
  Never: 'put into the recycle bin for good',
}

/** What somebody should know who deletes a namespace. */
export function namespaceReminder(name: string, endings: readonly Ending[]): string[] {
  const said = [...Map.groupBy(endings, ({ policy }) => policy)].map(([policy, ended]) => {
    const kinds = [...Map.groupBy(ended, ({ kind }) => kind)].map(([kind, { length }]) => count(length, kind))
    return `with namespace ${name}, ${kinds.join(' and ')} ${ended.length === 1 ? 'is' : 'are'} ${ends[policy]}`
  })
  if (endings.every(({ policy }) => policy === 'Immediate')) return said
  const [shortName = ''] = RecycledResource.shortNames
  const command = `kubectl get ${shortName} --field-selector spec.resource.namespace=${name}`
  return [...said, `what is in the recycle bin can be brought back, and the namespace with it: ${command}`]
}

/** What who deletes a namespace should know where that could not be written down. */
export function unrecordedWarning(person: string): string {
  return `that ${person} deletes it could not be written down: the recycle bin will name the namespace controller instead`
}
