import type { DeletionPolicy } from '../../crds/deletion.ts'
import { SYSTEM_NAMESPACE } from '../../crds/system-namespace.ts'
import { RecycledResource, type RecyclableKind } from '../../crds/recycled-resource.ts'
import { count, refuse } from './rule.ts'

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

/** Without it nobody leads, and no delete can be judged: it goes when Holdfast is taken out of the cluster, after its webhooks. */
export function keepsSystem() {
  const message = `the namespace ${SYSTEM_NAMESPACE} holds the keys and records of Holdfast, without which nothing is done and every write to its kinds is refused: leave it; to take Holdfast out of the cluster, delete its webhook configurations (holdfast) before`
  return refuse('InUse', message)
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
