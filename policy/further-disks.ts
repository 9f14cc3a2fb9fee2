import { OWNER_LABEL, type DeletionSettings } from '../crds/deletion.ts'
import type { Disk } from '../crds/disk.ts'
import { originOf } from '../crds/recycled-resource.ts'
import { makerOf, type VirtualMachine } from '../crds/virtual-machine.ts'
import { decideDeletion, endOf, type DeletionDecision } from './deletion.ts'

/** What is deleted at once, as with its namespace, is stamped one after the other. */
const AT_ONCE_MS = 5 * 60_000

type Attachment = NonNullable<NonNullable<Disk['status']>['attachedTo']>

/** A Disk that a machine which is deleted is to take along, and what is known around it. */
export interface MarkedDisk {
  readonly vm: VirtualMachine
  readonly disk: Disk
  /** Of the delete of the machine. */
  readonly decision: DeletionDecision
  /** Of a delete of the disk itself, where one was written down. */
  readonly stamped: DeletionDecision | undefined
  readonly settings: DeletionSettings
  /** Machines that name the disk in their spec. */
  readonly users: readonly VirtualMachine[]
}

/** Names of the disks that a machine is to take along when it is deleted. */
export function markedDisks({ spec }: Pick<VirtualMachine, 'spec'>): string[] {
  return spec.disks
    .filter(({ deleteWithVirtualMachine }) => deleteWithVirtualMachine === true)
    .map(({ diskRef: { name } }) => name)
}

/**
 * Why a Disk stays that its machine is to take along, as the end of a sentence that starts with the Disk; undefined when
 * it goes. Whoever marks a disk may get rid of no other one than theirs, of none that somebody uses, and of none sooner
 * than it says itself.
 */
export function whyItStays(marked: MarkedDisk): string | undefined {
  const { vm, disk, users } = marked
  if (!isHere(vm, disk)) return 'is not attached to it'
  const user = users.find(
    ({ metadata }) => metadata.uid !== vm.metadata.uid && metadata.deletionTimestamp === undefined,
  )
  if (user) return `is named by VirtualMachine ${user.metadata.name} too`
  if (disk.metadata.labels?.[OWNER_LABEL] !== vm.metadata.labels?.[OWNER_LABEL]) return 'belongs to another owner'
  return whyItIsKept(marked)
}

function whyItIsKept(marked: MarkedDisk): string | undefined {
  const { decision } = marked
  const own = ownDecision(marked)
  if (!own || endOf(own) <= endOf(decision) + AT_ONCE_MS) return undefined
  return own.policy === decision.policy ? 'is kept for longer' : `has the deletion policy ${own.policy}`
}

/** One that was made for a machine is its root disk, or a copy of that, and stays attached as its label says. */
function isHere(vm: VirtualMachine, { metadata, status }: Disk): boolean {
  const isMade = status?.size !== undefined && status.dataStorage !== undefined
  if (!isMade || status.host !== vm.status?.host || makerOf(metadata) !== undefined) return false
  return status.attachedTo ? isAttached(vm, status.attachedTo) : comesBackWith(vm, metadata)
}

function isAttached({ metadata, status }: VirtualMachine, { machineId, virtualMachine }: Attachment): boolean {
  return machineId === status?.machineId && virtualMachine === metadata.name
}

/** One that comes back from the same entry as the machine is about to be attached to it. */
function comesBackWith(vm: VirtualMachine, metadata: Disk['metadata']): boolean {
  const origin = originOf(metadata)
  return vm.status?.machineId !== undefined && origin !== undefined && origin === originOf(vm.metadata)
}

/**
 * What a delete of the disk by itself does. Nothing for one that is not deleted itself and says nothing of that: it ends as
 * its machine does, unless all disks are kept for good.
 */
function ownDecision({ disk, stamped, settings, decision: { at: now } }: MarkedDisk): DeletionDecision | undefined {
  if (stamped) return stamped
  const override = disk.spec.deletionPolicy
  const isDeleted = disk.metadata.deletionTimestamp !== undefined
  if (override === undefined && !isDeleted && settings.disk.policy !== 'Never') return undefined
  return decideDeletion({ kind: 'Disk', override, settings, now })
}
