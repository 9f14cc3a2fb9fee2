import { holdsNothingBinned, subject, type Consequent, type DeleteFacts, type DeleteRules } from './delete.ts'
import { count, listed, refuse } from './rule.ts'

/** Deleting a Host. */
export const deleteHost: DeleteRules = { inUse: [hasNoMachines, holdsNothingBinned], consequences }

function hasNoMachines(facts: DeleteFacts) {
  const { machines } = facts
  if (machines.length === 0) return undefined
  const has = count(machines.length, 'VirtualMachine')
  return refuse('InUse', `${subject(facts)} has ${has}: ${listed(machines)}: delete these first`)
}

function consequences(facts: Consequent): string[] {
  const { storages } = facts
  const goes = `${subject(facts)} is forgotten: nothing is placed on it any more, and nobody looks at it`
  if (storages.length === 0) return [goes]
  return [goes, `${count(storages.length, 'DataStorage')} on it can no longer be reached: ${listed(storages)}`]
}
