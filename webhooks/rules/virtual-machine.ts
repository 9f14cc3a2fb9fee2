import * as z from 'zod'
import { Disk } from '../../crds/disk.ts'
import { MAX_FURTHER_DISKS } from '../../crds/machine-disks.ts'
import { ownRootName } from '../../crds/virtual-machine.ts'
import { contentsOfMachine } from '../../policy/recycled-contents.ts'
import { subject, type Consequent, type DeleteRules } from './delete.ts'
import { count, listed } from './rule.ts'
import type { Change, Guarded } from './write.ts'

/** Deleting a VirtualMachine. */
export const deleteVirtualMachine: DeleteRules = { inUse: [], consequences, contents: contentsOfMachine }

/** Only such a machine has a root disk that goes with it. */
const isMadeFromImage = z.object({ rootDisk: z.object({ imageRef: z.object({}) }) })

const ends = {
  Immediate: 'is stopped and destroyed at once',
  Delayed: 'is stopped and put into the recycle bin',
  Never: 'is stopped and put into the recycle bin for good',
}

function consequences(facts: Consequent): string[] {
  const { object, disks, goAlong, heldBack, decision } = facts
  const own = `${object.metadata.namespace ?? ''}/${ownRootName(object.metadata.name)}`
  const hasOwn = isMadeFromImage.safeParse(object.spec).success && disks.includes(own)
  const others = disks.filter((name) => !(hasOwn && name === own) && !goAlong.includes(name))
  const end = ends[decision?.policy ?? 'Delayed']
  return [
    `${subject(facts)} ${end}${hasOwn ? ', together with its root disk' : ''}`,
    ...said(goAlong, ['goes along, as spec.disks says', 'go along, as spec.disks says']),
    ...said(others, ['is detached and stays', 'are detached and stay']),
    ...[...heldBack].map(([name, why]) => `Disk ${name} is to go along, and stays: it ${why}`),
  ]
}

function said(names: readonly string[], [one, many]: readonly [string, string]): string[] {
  return names.length === 0
    ? []
    : [`${count(names.length, 'Disk')} ${names.length === 1 ? one : many}: ${listed(names, MAX_FURTHER_DISKS)}`]
}

/** Who has a machine take Disks along when that is deleted can delete the Disks. */
export const markChange: Guarded = {
  needs(change) {
    const { group, plural } = Disk
    const { namespace } = change.object.metadata
    return newMarks(change).map((name) => ({ verb: 'delete', group, plural, namespace, name }))
  },
  message: ({ person }, { name }) =>
    `${person} may not have Disk ${name} deleted with the machine: leave deleteWithVirtualMachine out of spec.disks, or ask for the permission delete on ${Disk.plural}`,
}

/** What is brought back had its marks before. */
function newMarks({ object, before, recovery }: Change): string[] {
  const now = marksIn(object.spec)
  if (now.length === 0) return now
  const was = before?.spec ?? recovered.safeParse(recovery?.entry?.spec.contents?.manifest).data?.spec
  const had = marksIn(was)
  return now.filter((name) => !had.includes(name))
}

const recovered = z.object({ spec: z.looseObject({}) })

const list = z.array(z.unknown())
// A change is asked about before its schema is looked at.
const marked = z.looseObject({
  diskRef: z.looseObject({ name: z.string() }),
  deleteWithVirtualMachine: z.literal(true),
})

/** Names of the disks that the spec of a machine, which may be of no schema, has go along with it. */
export function marksIn(spec: Readonly<Record<string, unknown>> | undefined): string[] {
  const disks = list.safeParse(spec?.['disks']).data ?? []
  return disks.slice(0, MAX_FURTHER_DISKS).flatMap((disk) => marked.safeParse(disk).data?.diskRef.name ?? [])
}
