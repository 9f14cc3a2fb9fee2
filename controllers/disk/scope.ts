import type { Disk } from '../../crds/disk.ts'
import type { Image } from '../../crds/image.ts'
import type { VirtualMachine } from '../../crds/virtual-machine.ts'
import type { StatusOf } from '../../lib/reconcile/reconcile.ts'
import type { Candidates } from '../fleet/candidates.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { Ledger } from '../fleet/ledger.ts'
import type { RecycleBin } from '../recycle-bin/bin.ts'
import type { MadeDisks } from './made.ts'

/** The world outside, as this controller needs it. */
export interface Deps {
  readonly fleet: Fleet
  readonly candidates: Candidates
  readonly ledger: Pick<Ledger, 'diskUse' | 'growDisk'>
  readonly image: (namespace: string, name: string) => Image | undefined
  /** Disks that stand for the file of this name, or that ask for it. */
  readonly disksOfFile: (id: string) => readonly Disk[]
  /** Uid of the Disk that was given a file last, by the file's name. */
  readonly adopters: Map<string, string>
  readonly made: Pick<MadeDisks, 'note'>
  /** In which session of its host a disk was last seen there, by the Disk's uid. */
  readonly seen: Map<string, number>
  /** Machines whose status says that they have this identity. */
  readonly machinesOf: (machineId: string) => readonly VirtualMachine[]
  readonly virtualMachine: (namespace: string, name: string) => VirtualMachine | undefined
  readonly bin: RecycleBin
}

/** What the phases of one reconcile share. They change `status`, which is `disk.status`. */
export interface Scope {
  readonly disk: Disk
  readonly status: StatusOf<Disk>
  readonly namespace: string
  readonly deps: Deps
}

/** Opens a scope over a copy of the object. */
export function openScope(disk: Disk, deps: Deps): Scope {
  disk.status ??= {}
  return { disk, status: disk.status, namespace: disk.metadata.namespace ?? '', deps }
}
