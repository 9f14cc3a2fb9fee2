import { subject, type Consequent, type DeleteRules } from './delete.ts'
import { count } from './rule.ts'

/** Deleting an Image. */
export const deleteImage: DeleteRules = { inUse: [], consequences }

const ends = {
  Immediate: 'is destroyed at once',
  Delayed: 'is put into the recycle bin',
  Never: 'is put into the recycle bin for good',
}

function consequences(facts: Consequent): string[] {
  const { machines, disks, decision } = facts
  const goes = `${subject(facts)} ${ends[decision?.policy ?? 'Delayed']}`
  if (machines.length + disks.length === 0) return [goes]
  const users = `${count(machines.length, 'VirtualMachine')} and ${count(disks.length, 'Disk')}`
  return [
    goes,
    `it is named by ${users}: what is made already stays, what is yet to be made waits for an Image of this name`,
  ]
}
