import { contentsOfImage } from '../../policy/recycled-contents.ts'
import { subject, type Consequent, type DeleteRules } from './delete.ts'
import { count } from './rule.ts'

/** Deleting an Image. */
export const deleteImage: DeleteRules = { inUse: [], consequences, contents: contentsOfImage }

const ends = {
  Immediate: 'is destroyed at once',
  Delayed: 'is put into the recycle bin',
  Never: 'is put into the recycle bin for good',
}

function consequences(facts: Consequent): string[] {
  const { machines, disks, binned, decision } = facts
  const said = [`${subject(facts)} ${ends[decision?.policy ?? 'Delayed']}`]
  if (machines.length + disks.length > 0) {
    const users = `${count(machines.length, 'VirtualMachine')} and ${count(disks.length, 'Disk')}`
    said.push(
      `it is named by ${users}: what is made already stays, what is yet to be made waits for an Image of this name`,
    )
  }
  if (binned.length > 0) {
    said.push(`${count(binned.length, 'object')} in the recycle bin came from it, and can be brought back without it`)
  }
  return said
}
