import { Disk } from '../../crds/disk.ts'
import { contentsOfDisk } from '../../policy/recycled-contents.ts'
import { MACHINE_ID_LABEL, makerOf } from '../../crds/virtual-machine.ts'
import { subject, type Consequent, type DeleteFacts, type DeleteRules } from './delete.ts'
import { listed, refuse } from './rule.ts'
import { permissionOn, type Guarded, type WriteFacts } from './write.ts'

/** Deleting a Disk. */
export const deleteDisk: DeleteRules = { inUse: [isNotAttached, isNotHeld], consequences, contents: contentsOfDisk }

function isNotAttached(facts: DeleteFacts) {
  const { machines } = facts
  if (machines.length === 0) return undefined
  return refuse(
    'InUse',
    `${subject(facts)} is attached to VirtualMachine ${listed(machines)}: take it out of spec.disks there first, or, where that does not name it (status.unnamedDisks), request Restart in spec.power; if it is the root disk, delete the machine instead`,
  )
}

/** As its host said last. That machine may be one that no object stands for. */
function isNotHeld(facts: DeleteFacts) {
  const { heldBy, host } = Disk.status.pick({ heldBy: true, host: true }).safeParse(facts.object.status).data ?? {}
  if (heldBy === undefined) return undefined
  const { machineId, name } = heldBy
  const isOfNamespace = name !== undefined
  // By way of the recycle bin it comes to the namespace of that machine.
  if (!isOfNamespace && facts.decision?.policy !== 'Immediate') return undefined
  const whose = isOfNamespace ? `, which was started for VirtualMachine ${name}` : ', which is of another namespace'
  const next = isOfNamespace
    ? 'name the Disk in spec.disks of that VirtualMachine and of no other, or, where it is gone, adopt the machine with spec.adopt.machineId; what is attached can be taken out, and deleted then'
    : 'set spec.deletionPolicy of the Disk to Delayed, delete it, and recover its entry into that namespace'
  return refuse('InUse', `${subject(facts)} is in use by machine ${machineId} of Host ${host}${whose}: ${next}`)
}

/** A disk ends as the machine does that it was made for, so that the label which says so decides on its policy too. */
export const machineChange: Guarded = {
  needs({ kind, object, before }) {
    const isSame = makerOf(object.metadata) === (before && makerOf(before.metadata))
    return isSame ? undefined : permissionOn('setDeletionPolicy', kind, object)
  },
  message({ person, kind, before }) {
    const how = before ? 'leave it as it was' : 'leave it out'
    return `${person} may not say with the label ${MACHINE_ID_LABEL} which machine a disk was made for, for it ends as that one does: ${how}, or ask for the permission setDeletionPolicy on ${kind.plural}`
  },
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
