import { contentsOfDisk } from '../../policy/recycled-contents.ts'
import { makerOf } from '../../crds/virtual-machine.ts'
import { subject, type Consequent, type DeleteFacts, type DeleteRules } from './delete.ts'
import { listed, refuse } from './rule.ts'
import type { WriteFacts } from './write.ts'

/** Deleting a Disk. */
export const deleteDisk: DeleteRules = { inUse: [isNotAttached], consequences, contents: contentsOfDisk }

function isNotAttached(facts: DeleteFacts) {
  const { machines } = facts
  if (machines.length === 0) return undefined
  return refuse(
    'InUse',
    `${subject(facts)} is attached to VirtualMachine ${listed(machines)}: take it out of spec.disks there first; if it is the root disk, delete the machine instead`,
  )
}

/** What somebody should know who says how a disk ends that goes along with its machine. */
export function goesAlongWarnings({ kind, object, before }: Pick<WriteFacts, 'kind' | 'object' | 'before'>): string[] {
  const { metadata, spec } = object
  const wanted = spec['deletionPolicy']
  const isSaid = kind.kind === 'Disk' && wanted !== undefined && wanted !== before?.spec['deletionPolicy']
  if (!isSaid || makerOf(metadata) === undefined) return []
  return [
    `${subject({ object })} was made for its machine, and ends as spec.deletionPolicy of that one says: set it there`,
  ]
}

const ends = {
  Immediate: 'is destroyed at once',
  Delayed: 'is put into the recycle bin',
  Never: 'is put into the recycle bin for good',
}

function consequences(facts: Consequent): string[] {
  return [`${subject(facts)} ${ends[facts.decision?.policy ?? 'Delayed']}`]
}
