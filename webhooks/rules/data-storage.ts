import { holdsNothingBinned, subject, type Consequent, type DeleteFacts, type DeleteRules } from './delete.ts'
import { count, listed, refuse } from './rule.ts'

/** Deleting a DataStorage. */
export const deleteDataStorage: DeleteRules = { inUse: [hasNoDisks, holdsNothingBinned], consequences }

function hasNoDisks(facts: DeleteFacts) {
  const { disks } = facts
  if (disks.length === 0) return undefined
  return refuse(
    'InUse',
    `${subject(facts)} has ${count(disks.length, 'Disk')}: ${listed(disks)}: delete these first, with the machines that use them`,
  )
}

function consequences(facts: Consequent): string[] {
  return [`${subject(facts)} is forgotten: no disk is placed on it any more, and its files stay where they are`]
}
