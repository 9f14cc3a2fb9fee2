import { contentsOfMachine } from '../../policy/recycled-contents.ts'
import { subject, type Consequent, type DeleteRules } from './delete.ts'
import { count, listed } from './rule.ts'

/** Deleting a VirtualMachine. */
export const deleteVirtualMachine: DeleteRules = { inUse: [], consequences, contents: contentsOfMachine }

const ends = {
  Immediate: 'is stopped and destroyed at once',
  Delayed: 'is stopped and put into the recycle bin',
  Never: 'is stopped and put into the recycle bin for good',
}

function consequences(facts: Consequent): string[] {
  const { object, disks, decision } = facts
  const own = `${object.metadata.namespace ?? ''}/${object.metadata.name}-root`
  const hasOwn = disks.includes(own)
  const others = disks.filter((name) => name !== own)
  const end = ends[decision?.policy ?? 'Delayed']
  const goes = `${subject(facts)} ${end}${hasOwn ? ', together with its root disk' : ''}`
  if (others.length === 0) return [goes]
  const verb = others.length === 1 ? 'is detached and stays' : 'are detached and stay'
  return [goes, `${count(others.length, 'Disk')} ${verb}: ${listed(others)}`]
}
