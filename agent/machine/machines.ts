import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { DesiredMachine, ObservedMachine } from '../contract.ts'
import { isFullDisk } from '../durable-file.ts'
import type { Hypervisor } from '../hypervisor.ts'
import type { Storage } from '../storage/storage.ts'
import { afterAbsence } from './ending.ts'
import type { Launcher } from './launcher.ts'
import { Machine, type MachineDeps } from './machine.ts'
import type { MachineMeasure } from './measure.ts'
import { accept, keepDisks } from './order.ts'
import { isKnownLaunch, isLaunchOf } from './plan.ts'
import type { Hardware } from './hardware.ts'
import { devicesOf, type FoundProcess } from './processes.ts'
import type { RecordStore } from './record-store.ts'
import type { MachineRecord } from './record.ts'
import { NO_DECISION, Strays, type KnownStray } from './strays.ts'

export interface MachinesDeps {
  readonly records: RecordStore
  readonly storage: Pick<Storage, 'claimDisks' | 'releaseDisks' | 'claimsOf'>
  readonly hypervisor: Pick<Hypervisor, 'qemu' | 'bootId'>
  readonly launcher: Launcher
  readonly clock: Clock
  readonly log: Log
  readonly onChange: (machine: ObservedMachine) => void
}

const SECTOR_BYTES = 512
/** How long an order of a forgotten machine is remembered. Older orders than that no controller repeats. */
const REMEMBERED_MS = 30 * 24 * 3600 * 1000

/** All machines of this host. */
export interface Machines extends AsyncDisposable {
  /** From now on machines are started that should run. Before, only what runs already is looked at. */
  begin(): void
  list(): ObservedMachine[]
  /** What each of them uses now. */
  measure(): Promise<MachineMeasure[]>
  /** As `HostAgent.putMachine`. */
  put(desired: DesiredMachine, waitMs: number): Promise<ObservedMachine>
  /** Makes a disk larger in the process that has it open; false when there is none that does it. */
  growDisk(disk: { readonly id: string; readonly sizeBytes: number }): Promise<boolean>
  /** As `HostAgent.stopGuests`. Nothing starts any more while this agent lives. */
  stopGuests(): Promise<void>
}

/** Takes up every machine where the last agent left it: what runs is adopted. */
export async function openMachines(deps: MachinesDeps): Promise<Machines> {
  let held = false
  const changes = new EventTarget()
  const machineDeps = {
    ...deps,
    isHeld: () => held,
    onChange: (machine: ObservedMachine) => {
      deps.onChange(machine)
      changes.dispatchEvent(new Event('change'))
    },
  }
  const { all, strays } = await takeUp(deps, machineDeps)
  const make = async (desired: DesiredMachine): Promise<Machine> => {
    const record = accept(undefined, desired)
    const isStray = strays.has(desired.id)
    const claims = isStray || record.mayHoldOthers === true ? await claimsOf(desired, isStray, machineDeps) : []
    const stray = strays.get(desired.id)
    const claiming = { ...record, claims }
    if (stray) return adoptStray(desired, { ...claiming, desired: keepDisks(claims, desired) }, stray, machineDeps)
    return new Machine(machineDeps.launcher.withUid(claiming), false, machineDeps)
  }
  const making = new Map<string, Promise<Machine>>()
  const find = (desired: DesiredMachine): Machine | Promise<Machine> => {
    const { id } = desired
    const known = all.get(id) ?? making.get(id)
    if (known) return known
    const made = make(desired)
      .then((machine) => {
        all.set(id, machine)
        // Not before: one that is being adopted, or cannot be, stays known as a stray.
        strays.forget(id)
        return machine
      })
      .finally(() => making.delete(id))
    making.set(id, made)
    return made
  }

  return {
    begin: () => {
      for (const machine of all.values()) machine.poke()
    },
    list: () => listAll(all.values(), strays),
    measure: () => Promise.all([...all.values()].filter(isThere).map((machine) => machine.measure())),
    put: async (desired, waitMs) => {
      const machine = await find(desired)
      await machine.order(desired)
      return machine.converged(waitMs)
    },
    growDisk: (disk) => growDisk(all.values(), disk),
    stopGuests: async () => {
      held = true
      await untilOff(all, changes)
    },
    [Symbol.asyncDispose]: async () => {
      strays[Symbol.dispose]()
      await Promise.all([...all.values()].map((machine) => machine.close()))
    },
  }
}

/** A stray that is a machine besides is told of as that. */
function listAll(machines: Iterable<Machine>, strays: Strays): ObservedMachine[] {
  const there = [...machines].filter(isThere).map((machine) => machine.observed())
  return [...there, ...strays.list().filter(({ id }) => !there.some((machine) => machine.id === id))]
}

/** Has them look once more, and waits until none has a process. */
async function untilOff(machines: ReadonlyMap<string, Machine>, changes: EventTarget): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const look = () => {
    if ([...machines.values()].every(({ isOff }) => isOff)) resolve()
  }
  changes.addEventListener('change', look)
  for (const machine of machines.values()) machine.poke()
  look()
  await promise
  changes.removeEventListener('change', look)
}

async function growDisk(
  machines: Iterable<Machine>,
  { id, sizeBytes }: { readonly id: string; readonly sizeBytes: number },
): Promise<boolean> {
  const user = [...machines].find(({ record }) => record.current.desired.disks.some((disk) => disk.id === id))
  return user === undefined ? false : user.growDisk(id, Math.ceil(sizeBytes / SECTOR_BYTES) * SECTOR_BYTES)
}

/** Also a guest that was adopted by an order that cannot be stored. */
function isThere({ record, isOff }: Machine): boolean {
  return record.current.buriedAt === undefined && (record.isStored || !isOff)
}

type AllDeps = MachineDeps & Pick<MachinesDeps, 'storage'>

interface TakenUp {
  readonly all: Map<string, Machine>
  readonly strays: Strays
}

async function takeUp(deps: MachinesDeps, machineDeps: AllDeps): Promise<TakenUp> {
  const { records, launcher, clock, log } = deps
  const [stored, found] = await Promise.all([records.loadAll(), launcher.findAll()])
  const unknown = new Set(found.filter((process) => launcher.isHere(process)))
  const all = new Map<string, Machine>()
  const look = async (record: MachineRecord): Promise<Restored | undefined> => {
    const { id } = record.desired
    if (isExpired(record, clock.now())) {
      await records.remove(id)
      return undefined
    }
    const candidates = found.filter((process) => process.machineId === id)
    const own = await findOwn(record, candidates, deps)
    if (own) unknown.delete(own)
    const isAway = own === undefined && !candidates.some((process) => launcher.isHere(process))
    return { record: own ? withUserOf(record, own) : record, process: own, isAway }
  }
  const looked = (await Promise.all(stored.map(look))).filter((one) => one !== undefined)
  // Users that are taken come first, so that none is given away twice.
  const settled = looked
    .toSorted((a, b) => Number(a.record.uid === undefined) - Number(b.record.uid === undefined))
    .map((one) => ({ ...one, record: launcher.withUid(one.record) }))
  await Promise.all(settled.map(async (one) => all.set(one.record.desired.id, await restoreMachine(one, machineDeps))))
  const genuine: FoundProcess[] = []
  for (const process of unknown) {
    const { machineId, pid, name } = process
    const isGenuine = await launcher.hasRunDir(process)
    if (isGenuine) {
      genuine.push(process)
      launcher.noteUid(process)
      // What it remembers is older than what the guest runs by.
      if (all.get(machineId)?.record.current.buriedAt !== undefined) all.delete(machineId)
    }
    log.warn({ machine: machineId, name, pid, isGenuine }, 'a guest runs without an order; it is left alone')
  }
  return { all, strays: new Strays(genuine, machineDeps) }
}

/** Another user's process may say of itself that it is this machine, besides the one that is. */
async function findOwn(
  record: MachineRecord,
  candidates: readonly FoundProcess[],
  { launcher, hypervisor: { bootId } }: Pick<MachinesDeps, 'launcher' | 'hypervisor'>,
): Promise<FoundProcess | undefined> {
  // It was forgotten when its process was gone: one that runs has an order since, and the record is an old one.
  if (record.buriedAt !== undefined) return undefined
  const owned = candidates.filter((process) => launcher.isOwn(record, process))
  const known =
    candidates.find((process) => isKnownLaunch(record, process, bootId)) ??
    owned.find((process) => launcher.isHere(process)) ??
    owned.find((process) => isLaunchOf(record, process, bootId))
  if (known) return known
  // A record may be wrong about its user. The folder was given to that by an agent.
  for (const process of candidates) if (launcher.isHere(process) && (await launcher.hasRunDir(process))) return process
  return undefined
}

/** A record may know nothing of the user of its process, or be wrong. An agent's own user is nobody's in particular. */
function withUserOf(record: MachineRecord, { uid }: FoundProcess): MachineRecord {
  return uid === process.getuid?.() ? record : { ...record, uid }
}

function isExpired({ buriedAt }: MachineRecord, now: Date): boolean {
  return buriedAt !== undefined && now.getTime() - Date.parse(buriedAt) > REMEMBERED_MS
}

interface Restored {
  readonly record: MachineRecord
  readonly process: FoundProcess | undefined
  /** No process says of itself that it is this machine: of one that does, nobody takes the sockets away. */
  readonly isAway: boolean
}

async function restoreMachine({ record, process, isAway }: Restored, deps: MachineDeps): Promise<Machine> {
  const { launcher, records, clock, log, hypervisor } = deps
  if (process) {
    const { bootId } = hypervisor
    const machine = new Machine({ ...record, launch: { confirmed: false, ...record.launch, bootId } }, true, deps)
    await machine.adopt(launcher.toGuest(process, () => machine.poke()))
    const { machineId, name, pid, runDir } = process
    log.info({ machine: machineId, name, pid, runDir }, 'adopted')
    return machine
  }
  const next = afterAbsence(record, hypervisor.bootId, clock.now())
  try {
    if (next !== record) await records.save(next)
  } catch (error) {
    // The next agent would conclude the same.
    if (!isFullDisk(error)) throw error
    log.warn({ machine: record.desired.id, err: error }, 'the end of a guest cannot be stored: the file system is full')
  }
  if (isAway) await launcher.clearRunDir(next)
  return new Machine(next, true, deps)
}

/**
 * Of a machine whose record is lost: what it is to have no longer is given back once its guest has done so. A guest is not
 * adopted without knowing them; a machine without one goes on with the disks that are there.
 */
async function claimsOf({ id }: DesiredMachine, isStray: boolean, deps: AllDeps): Promise<MachineRecord['claims']> {
  try {
    const found = await deps.storage.claimsOf(id)
    return found.map((claim) => ({ id: claim.id, storage: claim.storage }))
  } catch (err) {
    if (isStray) throw err
    deps.log.warn({ machine: id, err }, 'it cannot be told which disks a machine held before its record was lost')
    return []
  }
}

async function adoptStray(
  desired: DesiredMachine,
  claiming: MachineRecord,
  stray: KnownStray,
  deps: AllDeps,
): Promise<Machine> {
  const { launcher, hypervisor, log } = deps
  const { process, decisionId } = stray
  const hardware = await hardwareOf(process, desired)
  const identity = { pid: process.pid, startTime: process.startTime }
  const launch = { bootId: hypervisor.bootId, confirmed: true, process: identity, ...(hardware && { hardware }) }
  const record: MachineRecord = {
    ...claiming,
    launch,
    mayHoldOthers: true,
    // Where it runs by an older decision, what this one has done once is still to be done. Where nobody knows, it is not done.
    ...((decisionId === desired.decision.id || decisionId === NO_DECISION.id) && { carriedOut: desired.decision.id }),
  }
  const machine = new Machine(withUserOf(record, process), false, deps)
  await machine.adopt(launcher.toGuest(process, () => machine.poke()))
  log.warn({ machine: desired.id, pid: process.pid }, 'a guest without an order has one now, and is adopted')
  return machine
}

/** What a process was started with; undefined where its command line does not say. */
async function hardwareOf({ pid }: FoundProcess, { disks }: DesiredMachine): Promise<Hardware | undefined> {
  const { cpus, memoryBytes, machineType, macs } = await devicesOf(pid)
  if (cpus === undefined || memoryBytes === undefined || machineType === undefined) return undefined
  return { cpus, memoryBytes, machineType, macs: [...macs], disks }
}
