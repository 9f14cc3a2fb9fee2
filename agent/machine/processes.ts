import { readdirSync, readFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import * as z from 'zod'
import { argsOf } from '../../lib/process-arguments.ts'
import { machinePaths } from '../paths.ts'

// USER_HZ is 100 on every architecture that QEMU runs on (time(7)).
const MS_PER_TICK = 10

/** A process of this boot. With its start time, so that a later process with the same number is not taken for it. */
export interface HostProcess {
  readonly pid: number
  /** In clock ticks since the host's boot. */
  readonly startTime: string
}

/** A QEMU that an agent started, found by looking at every process of the host. */
export interface FoundProcess extends HostProcess {
  readonly machineId: string
  /** Folder of its agent, in which it has one of its own. */
  readonly runDir: string
  readonly uid: number
  /** `namespace/name` that it was started with. */
  readonly name: string
}

/** Every QEMU that an agent started, whatever its run folder. A process that ends meanwhile is left out. */
export async function findMachines(): Promise<FoundProcess[]> {
  const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry)).map(Number)
  const found = await Promise.all(pids.map((pid) => findMachine(pid)))
  return found.filter((process) => process !== undefined)
}

async function findMachine(pid: number): Promise<FoundProcess | undefined> {
  try {
    const args = await argsOf(pid)
    const place = placeOf(args)
    if (!place) return undefined
    const startTime = startTimeOf(pid)
    if (startTime === undefined) return undefined
    const uid = /^Uid:\t(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]
    const name = /^guest=(.*),debug-threads=off$/.exec(valueOf(args, '-name') ?? '')?.[1] ?? ''
    return { pid, startTime, ...place, uid: Number(uid), name: name.replaceAll(',,', ',') }
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

/** Undefined for a process that no agent started: the names of an agent's files follow from the machine. */
function placeOf(args: readonly string[]): Pick<FoundProcess, 'machineId' | 'runDir'> | undefined {
  const machineId = valueOf(args, '-uuid')
  const pidFile = valueOf(args, '-pidfile')
  if (machineId === undefined || pidFile === undefined) return undefined
  const runDir = dirname(dirname(pidFile))
  const { pidFile: expected } = machinePaths({ serial: '', logs: '', run: runDir }, machineId)
  return pidFile === expected ? { machineId, runDir } : undefined
}

/** What the command line of a QEMU says of its devices. */
export interface Devices {
  /** Of its cards, in order. */
  readonly macs: readonly string[]
  /** Serial number of the disk that it boots from: the first 20 characters of its id. */
  readonly root: string | undefined
  readonly cpus: number | undefined
  readonly memoryBytes: number | undefined
  /** With its version. */
  readonly machineType: string | undefined
}

const device = z.looseObject({
  driver: z.string(),
  mac: z.string().optional(),
  serial: z.string().optional(),
  bootindex: z.int().optional(),
})

/** None of a process that has ended. */
export async function devicesOf(pid: number): Promise<Devices> {
  const args = await argsOf(pid)
  const devices = args.flatMap((arg, index) => (args[index - 1] === '-device' ? toDevice(arg) : []))
  return {
    macs: devices.flatMap(({ mac }) => mac ?? []),
    root: devices.find(({ bootindex }) => bootindex === 0)?.serial,
    cpus: numberIn(/^cpus=(\d+),/, valueOf(args, '-smp')),
    memoryBytes: numberIn(/^size=(\d+)B$/, valueOf(args, '-m')),
    machineType: /^pc-q35-[\d.]+(?=,)/.exec(valueOf(args, '-machine') ?? '')?.[0],
  }
}

function numberIn(pattern: RegExp, text = ''): number | undefined {
  const digits = pattern.exec(text)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

function toDevice(text: string): z.infer<typeof device>[] {
  try {
    return [device.parse(JSON.parse(text))]
  } catch {
    return [] // It is none that we started it with.
  }
}

export function isSame(one: HostProcess, other: HostProcess): boolean {
  return one.pid === other.pid && one.startTime === other.startTime
}

/** The process that has this number now; undefined when there is none. */
export function processOf(pid: number): HostProcess | undefined {
  const startTime = startTimeOf(pid)
  return startTime === undefined ? undefined : { pid, startTime }
}

export function isAlive({ pid, startTime }: HostProcess): boolean {
  return startTimeOf(pid) === startTime
}

/** How long ago a process started, whether it still lives or not. */
export function ageMs({ startTime }: HostProcess): number {
  const [uptimeSeconds = ''] = readFileSync('/proc/uptime', 'utf8').split(' ')
  return Number(uptimeSeconds) * 1000 - Number(startTime) * MS_PER_TICK
}

/** What a process has used so far. */
export interface Usage {
  /** Of all its threads, in user and kernel mode. */
  readonly cpuSeconds: number
  readonly residentBytes: number
}

/** Undefined when it has ended. */
export function usageOf({ pid, startTime }: HostProcess): Usage | undefined {
  const fields = statOf(pid)
  if (fields?.[19] !== startTime) return undefined
  const ticks = Number(fields[11]) + Number(fields[12])
  const residentBytes = residentBytesOf(pid)
  return residentBytes === undefined ? undefined : { cpuSeconds: (ticks * MS_PER_TICK) / 1000, residentBytes }
}

function residentBytesOf(pid: number): number | undefined {
  const status = unlessGone(() => readFileSync(`/proc/${pid}/status`, 'utf8'))
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(status ?? '')?.[1]
  return kib === undefined ? undefined : Number(kib) * 1024
}

/** Kills without a chance to refuse; nothing happens when it ended already. */
export function kill(target: HostProcess): void {
  if (!isAlive(target)) return
  try {
    process.kill(target.pid, 'SIGKILL')
  } catch (error) {
    if (!isGone(error)) throw error
  }
}

function valueOf(args: readonly string[], option: string): string | undefined {
  const index = args.indexOf(option)
  return index === -1 ? undefined : args[index + 1]
}

/** Undefined for a process that has ended, also while its parent has yet to take note of it. */
function startTimeOf(pid: number): string | undefined {
  return statOf(pid)?.[19]
}

/** Its state and all that follows in /proc/PID/stat: the n-th field of proc(5) is at n - 3. Undefined when it has ended. */
function statOf(pid: number): string[] | undefined {
  const fields = readStat(`/proc/${pid}/stat`)
  return fields && (!hasStopped(fields) || hasThreads(pid)) ? fields : undefined
}

/** Whether a thread lives. The main one may be over while another, which waits for storage, still has the disks open. */
function hasThreads(pid: number): boolean {
  return tasksOf(pid).some((task) => {
    const fields = readStat(`/proc/${pid}/task/${task}/stat`)
    return fields !== undefined && !hasStopped(fields)
  })
}

function hasStopped([state]: readonly string[]): boolean {
  return state === 'Z' || state === 'X'
}

function readStat(path: string): string[] | undefined {
  return unlessGone(() => {
    const stat = readFileSync(path, 'utf8')
    // The name in brackets may contain anything.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  })
}

/** Ids of its threads; none of a process that is gone. */
function tasksOf(pid: number): string[] {
  return unlessGone(() => readdirSync(`/proc/${pid}/task`)) ?? []
}

function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')
}
