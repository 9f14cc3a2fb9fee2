import type { ObservedMachine } from '../../agent/contract.ts'
import type { Disk } from '../../crds/disk.ts'
import type { Image } from '../../crds/image.ts'
import type { VirtualMachine } from '../../crds/virtual-machine.ts'
import type { StatusOf } from '../../lib/reconcile/reconcile.ts'
import type { Candidates } from '../fleet/candidates.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { Ledger } from '../fleet/ledger.ts'
import type { RecycleBin } from '../recycle-bin/bin.ts'
import type { Orders } from './orders.ts'

/** The world outside, as this controller needs it. */
export interface Deps {
  readonly fleet: Fleet
  readonly candidates: Candidates
  readonly ledger: Pick<Ledger, 'reserve' | 'release'>
  readonly image: (namespace: string, name: string) => Image | undefined
  readonly disk: (namespace: string, name: string) => Disk | undefined
  readonly virtualMachine: (namespace: string, name: string) => VirtualMachine | undefined
  /** Machines whose status says that they have this identity: one, unless somebody else wrote it. */
  readonly machinesOf: (machineId: string) => readonly VirtualMachine[]
  /** Disks that carry this machine's id in their label. */
  readonly disksOf: (machineId: string) => Disk[]
  /** Disks whose status says that this machine may open them. */
  readonly attachedTo: (machineId: string) => Disk[]
  /** Machines that name a disk in their spec. */
  readonly usersOf: (namespace: string, disk: string) => readonly VirtualMachine[]
  /** Disks that stand for a file, or were to be made of it, in any namespace. */
  readonly disksOfFile: (id: string) => readonly Disk[]
  /** Whether its host has made a disk that does not say so yet. */
  readonly isMade: (disk: Disk) => boolean
  /** Creates a Disk. An existing one of that name is returned as it is. */
  readonly createDisk: (disk: NewDisk) => Promise<Disk>
  /** The very Disk, as the API server has it now. */
  readonly readDisk: (disk: Disk) => Promise<Disk | undefined>
  /** Fails with Conflict when somebody changed it since it was read. */
  readonly deleteDisk: (disk: Disk) => Promise<void>
  /** Claims a disk for a machine, or gives it back; fails with Conflict when somebody else changed it meanwhile. */
  readonly setAttachment: (disk: Disk, attachment: Attachment | undefined) => Promise<Disk>
  readonly newId: () => string
  readonly now: () => Date
  readonly newMac: () => string
  readonly orders: Orders
  /** Has those look who want to know what a machine has, when its host has answered something new. */
  readonly tellAnswer: (machine: ObservedMachine) => void
  readonly bin: RecycleBin
}

export type NewDisk = Pick<Disk, 'spec'> & {
  readonly metadata: { readonly namespace: string; readonly name: string; readonly labels: Record<string, string> }
}
export type Attachment = NonNullable<NonNullable<Disk['status']>['attachedTo']>
export type Status = StatusOf<VirtualMachine>
export type MachineDecision = NonNullable<Status['decision']>

/** What the phases of one reconcile share. They change `status`, which is `vm.status`. */
export interface Scope {
  readonly vm: VirtualMachine
  readonly status: Status
  readonly namespace: string
  readonly name: string
  readonly deps: Deps
  /** The disks to attach, root first, as far as they are found. Set by the disks phase. */
  disks: Disk[]
  /** The machine as its host sees it. Set by the phases that ask. */
  observed?: ObservedMachine | undefined
  /** Why its host does not give it what its spec asks for, as a sentence. */
  shortage?: string
}

/** Opens a scope over a copy of the object. */
export function openScope(vm: VirtualMachine, deps: Deps): Scope {
  vm.status ??= {}
  const { name, namespace = '' } = vm.metadata
  return { vm, status: vm.status, namespace, name, deps, disks: [] }
}
