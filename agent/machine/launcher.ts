import { stat } from 'node:fs/promises'
import type { Log } from '../../lib/log.ts'
import { isMissing } from '../durable-file.ts'
import { AgentError } from '../errors.ts'
import type { Hypervisor, Qemu } from '../hypervisor.ts'
import { machinePaths, type Folders } from '../paths.ts'
import type { OpenableDisk } from '../storage/storage.ts'
import { toArgv, type UserNetwork } from './argv.ts'
import { Guest } from './guest.ts'
import { clearPad, clearRunDir, launch, lastWords, preparePad, type LaunchPad, type Owner } from './launch.ts'
import { ageMs, findMachines, type FoundProcess } from './processes.ts'
import type { MachineRecord } from './record.ts'
import type { Uids } from './uids.ts'

export interface LaunchRequest {
  /** With the launch that is to happen. */
  readonly record: MachineRecord
  readonly disks: readonly OpenableDisk[]
  readonly pad: LaunchPad
  readonly onChange: () => void
}

/** Everything a machine needs of the host to have a process. */
export interface Launcher {
  /** Disks are read and written past the host's page cache. */
  readonly directIo: boolean
  /** The record with a user of its own, where the host gives each machine one. */
  withUid(record: MachineRecord): MachineRecord
  /** Gives no other machine the user of a process whose record is lost. */
  noteUid(process: FoundProcess): void
  ownerOf(record: MachineRecord): Owner | undefined
  prepare(record: MachineRecord): Promise<LaunchPad>
  /** Returns as soon as there is a process. Whether it becomes a running machine is to be seen. */
  launch(request: LaunchRequest): Promise<Guest>
  /** A process of this machine that an agent before this one started. */
  find(record: MachineRecord, onChange: () => void): Promise<Guest | undefined>
  /** Every process that agents started, also below another run folder. */
  findAll(): Promise<FoundProcess[]>
  /** Whether an agent of this run folder started it. */
  isHere(process: FoundProcess): boolean
  /** Whether a process that claims to be this machine runs as the user that the machine runs as. */
  isOwn(record: MachineRecord, process: FoundProcess): boolean
  /** Whether its sockets lie in a folder of its own user. Anybody may start a process that looks like a machine. */
  hasRunDir(process: FoundProcess): Promise<boolean>
  toGuest(process: FoundProcess, onChange: () => void): Guest
  /** Why a process ended, for people. */
  lastWords(guest: Guest): Promise<string>
  ageMs(guest: Guest): number
  /** Removes the sockets and the pid file of a machine whose process is gone. */
  clearRunDir(record: MachineRecord): Promise<void>
  /** Removes what a machine left on the host, its disks apart. */
  clear(record: MachineRecord): Promise<void>
  /** Lets another machine have the user that this one had. Its record must no longer name it. */
  releaseUid(id: string): void
}

export interface LauncherConfig {
  readonly program: string
  readonly folders: Folders
  readonly userNetwork: UserNetwork
  readonly directIo: boolean
  readonly hypervisor: Pick<Hypervisor, 'accelerator' | 'qemu'>
  /** Absent: processes run as the agent's own user. */
  readonly uids?: Uids
  readonly log: Log
}

export function newLauncher(config: LauncherConfig): Launcher {
  const { program, folders, hypervisor, uids, log, userNetwork, directIo } = config
  const pathsOf = (id: string) => machinePaths(folders, id)
  const logs = new WeakMap<Guest, { readonly id: string; readonly start: number }>()

  return {
    directIo,
    withUid(record) {
      if (!uids || record.buriedAt !== undefined) return record
      if (record.uid === undefined) return { ...record, uid: uids.take(record.desired.id) }
      uids.note(record.desired.id, record.uid)
      return record
    },
    noteUid: ({ machineId, uid }) => uids?.note(machineId, uid),
    ownerOf: ({ uid }) => (uid === undefined ? undefined : { uid, gid: hypervisor.accelerator.gid ?? uid }),
    prepare(record) {
      return preparePad(pathsOf(record.desired.id), this.ownerOf(record))
    },
    async launch({ record, disks, pad, onChange }) {
      const { id, name } = record.desired
      const hardware = record.launch?.hardware
      if (!hardware) throw new AgentError('INTERNAL', 'a machine is started without a plan')
      const { hasPvpanic: pvpanic } = await qemuFor(hypervisor, hardware.machineType)
      const paths = pathsOf(id)
      const accelerator = hypervisor.accelerator.name
      const slots = record.slots ?? {}
      const args = toArgv({ id, name, hardware, disks, slots, accelerator, userNetwork, directIo, pvpanic, paths })
      const { process, child } = await launch(program, args, pad.log, this.ownerOf(record))
      const guest = new Guest(process, { id, uid: record.uid ?? ownUid(), qmp: paths.qmp, log, onChange }, child)
      logs.set(guest, { id, start: pad.logStart })
      return guest
    },
    findAll: findMachines,
    isHere: (process) => isBelow(folders, process),
    async find(record, onChange) {
      const { id } = record.desired
      const own = (await findMachines()).filter((process) => this.isHere(process) && this.isOwn(record, process))
      const found = own.find((process) => process.machineId === id)
      return found && this.toGuest(found, onChange)
    },
    isOwn: ({ uid }, process) => process.uid === (uid ?? ownUid()),
    async hasRunDir({ machineId, uid }) {
      try {
        return (await stat(pathsOf(machineId).runDir)).uid === uid
      } catch (error) {
        if (isMissing(error)) return false
        throw error
      }
    },
    toGuest: (process, onChange) => toGuest(process, { folders, log, onChange }),
    async lastWords(guest) {
      const place = logs.get(guest)
      return place ? lastWords(pathsOf(place.id), place.start) : 'the process ended before the machine ran'
    },
    ageMs: (guest) => ageMs(guest.process),
    clearRunDir: ({ desired: { id } }) => removeSockets(id, config),
    clear: (record) => clearPad(pathsOf(record.desired.id)),
    releaseUid: (id) => uids?.release(id),
  }
}

async function removeSockets(machine: string, { folders, log }: LauncherConfig): Promise<void> {
  try {
    await clearRunDir(machinePaths(folders, machine))
  } catch (err) {
    // They are in nobody's way, and the next start takes their place.
    log.warn({ machine, err }, 'the sockets of a process that is gone cannot be removed')
  }
}

function isBelow(folders: Folders, { machineId, runDir }: FoundProcess): boolean {
  return machinePaths(folders, machineId).runDir === machinePaths({ ...folders, run: runDir }, machineId).runDir
}

function toGuest(
  process: FoundProcess,
  { folders, log, onChange }: Pick<LauncherConfig, 'folders' | 'log'> & { readonly onChange: () => void },
): Guest {
  const { machineId: id, uid, runDir } = process
  const { qmp } = machinePaths({ ...folders, run: runDir }, id)
  const isElsewhere = !isBelow(folders, process)
  return new Guest(process, { id, uid, qmp, isElsewhere, log, onChange })
}

function ownUid(): number | undefined {
  return process.getuid?.()
}

async function qemuFor(hypervisor: Pick<Hypervisor, 'qemu'>, type: string): Promise<Qemu> {
  const qemu = await hypervisor.qemu()
  const { version, machineTypes, q35 } = qemu
  if (machineTypes.includes(type)) return qemu
  const what = `QEMU ${version} of this host does not know the machine type ${type}`
  throw new AgentError('QEMU_UNAVAILABLE', `${what}: choose q35, which is ${q35} here, or another host`)
}
