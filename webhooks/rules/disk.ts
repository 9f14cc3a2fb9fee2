import { subject, type Consequent, type DeleteFacts, type DeleteRules } from './delete.ts'
import { listed, refuse } from './rule.ts'

/** Deleting a Disk. */
export const deleteDisk: DeleteRules = { inUse: [isNotAttached], consequences }

function isNotAttached(facts: DeleteFacts) {
  const { machines } = facts
  if (machines.length === 0) return undefined
  return refuse(
    'InUse',
    `${subject(facts)} is attached to VirtualMachine ${listed(machines)}: take it out of spec.disks there first; if it is the root disk, delete the machine instead`,
  )
}

const ends = {
  Immediate: 'is destroyed at once',
  Delayed: 'is put into the recycle bin',
  Never: 'is put into the recycle bin for good',
}

function consequences(facts: Consequent): string[] {
  return [`${subject(facts)} ${ends[facts.decision?.policy ?? 'Delayed']}`]
}
