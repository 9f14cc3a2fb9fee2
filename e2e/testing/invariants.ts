import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as z from 'zod'
import { condition, isReady, run, type Found, type Platform } from './platform.ts'
import { entries, type Entry } from './recycle-bin.ts'
import { HOST, type UnderTest } from './under-test.ts'

const QUIET_MS = 1_500
const PATIENCE_MS = 60_000
const POLL_MS = 250
const kinds = ['virtualmachines', 'disks', 'images', 'hosts', 'datastorages']

interface Process {
  readonly pid: number
  readonly machineId: string
  /** Files that it writes to. */
  readonly disks: readonly string[]
}

/**
 * Waits until nothing is wrong any more, and then that nothing is written any more. Throws with what is still wrong.
 * Wrong is: a machine with another number of QEMUs than its spec wants; two QEMUs that write one disk; a status that
 * says something else than the processes; a process, a socket or a file that belongs to no object; an object or an entry
 * of the recycle bin without its file, or two with the same one; an entry that is neither kept nor ended.
 */
export async function untilSound(test: UnderTest, quietMs = QUIET_MS): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const wrong = await findWrong(test)
    if (wrong.length === 0 && (await isQuiet(test.platform, quietMs))) return
    if (performance.now() > deadline)
      throw new Error(wrong.length > 0 ? wrong.join('\n') : 'something is written again and again')
    await sleep(POLL_MS)
  }
}

async function findWrong({ platform, storage }: UnderTest): Promise<string[]> {
  const [vms, disks, bin, processes] = [
    await platform.list('virtualmachines'),
    await platform.list('disks'),
    await entries(platform),
    await findQemus(platform),
  ]
  const files = await readdir(join(storage, 'disks'))
  return [
    ...vms.flatMap((vm) => objections(vm, processes)),
    ...disks
      .filter((disk) => !isReady(disk))
      .map((disk) => `Disk ${disk.metadata.name}: ${condition(disk)?.message ?? 'new'}`),
    ...strangers(vms, processes),
    ...writersOfOne(processes),
    ...(await leftSockets(platform, processes)),
    ...bin.filter((entry) => isStuck(entry, [...vms, ...disks])).map(({ name, phase }) => `entry ${name} is ${phase}`),
    ...wrongFiles(files, holdersOf(disks, bin)),
  ]
}

const spec = z.looseObject({ runStrategy: z.string(), power: z.object({ request: z.string() }).optional() })

function objections(vm: Found, processes: readonly Process[]): string[] {
  const { name } = vm.metadata
  if (vm.status?.host?.startsWith('simulated') === true) return [] // Has no process of its own.
  if (!isReady(vm)) return [`VirtualMachine ${name} is not ready: ${JSON.stringify(condition(vm))}`]
  const running = processes.filter(({ machineId }) => machineId === vm.status?.machineId).length
  const wanted = wantedState(vm)
  const shown = vm.status?.printableStatus
  return [
    ...(running === (wanted === 'Stopped' ? 0 : 1) ? [] : [`${name} has ${running} processes of QEMU`]),
    ...(shown === wanted ? [] : [`${name} is ${String(shown)} and not ${wanted}`]),
  ]
}

function wantedState(vm: Found): 'Stopped' | 'Paused' | 'Running' {
  const { runStrategy, power } = spec.parse(vm['spec'])
  if (runStrategy === 'Halted' || power?.request === 'ForceStop') return 'Stopped'
  return power?.request === 'Pause' ? 'Paused' : 'Running'
}

function strangers(vms: readonly Found[], processes: readonly Process[]): string[] {
  const known = new Set(vms.map(({ status }) => status?.machineId))
  return processes.filter(({ machineId }) => !known.has(machineId)).map(({ pid }) => `process ${pid} is no machine's`)
}

function writersOfOne(processes: readonly Process[]): string[] {
  const writers = Map.groupBy(
    processes.flatMap(({ pid, disks }) => disks.map((disk) => ({ pid, disk }))),
    ({ disk }) => disk,
  )
  return [...writers]
    .filter(([, all]) => all.length > 1)
    .map(([disk, all]) => `${disk} is written by ${all.map(({ pid }) => pid).join(' and ')}`)
}

async function leftSockets({ home }: Platform, processes: readonly Process[]): Promise<string[]> {
  const known = new Set(processes.map(({ machineId }) => machineId))
  const names = await readdir(join(home, HOST, 'run'))
  return names.filter((name) => !known.has(name)).map((name) => `the sockets of ${name} are left`)
}

/** Under way; a delete that came to nothing leaves one for two minutes, and is none. */
function isStuck({ name, phase }: Entry, objects: readonly Found[]): boolean {
  const object = objects.find(({ metadata }) => metadata.uid === name)
  return phase !== 'Binned' && (object === undefined || object.metadata.deletionTimestamp !== undefined)
}

interface Holder {
  readonly name: string
  /** Name of its file, without the ending. */
  readonly file: string
  /** Whether the file is to be on the host under test. */
  readonly isHere: boolean
}

/** Who stands for files: disks, and what the recycle bin holds for as long as its entry is there. */
function holdersOf(disks: readonly Found[], bin: readonly Entry[]): Holder[] {
  return [
    ...disks.map((disk) => ({
      name: `Disk ${disk.metadata.name}`,
      file: disk.status?.id ?? disk.metadata.uid,
      isHere: isReady(disk) && disk.status?.host === HOST,
    })),
    ...bin.flatMap(({ name, contents }) =>
      (contents?.disks ?? []).map(({ id }) => ({ name: `entry ${name}`, file: id, isHere: contents?.host === HOST })),
    ),
  ]
}

function wrongFiles(names: readonly string[], holders: readonly Holder[]): string[] {
  const known = Map.groupBy(holders, ({ file }) => file)
  return [
    ...names.filter((name) => !known.has(name.slice(0, 36))).map((name) => `the file ${name} is left`),
    ...[...known]
      .filter(([, all]) => all.length > 1)
      .map(([file, all]) => `${file} is ${all.map(({ name }) => name).join(' and ')}`),
    ...holders
      .filter(({ file, isHere }) => isHere && !names.includes(`${file}.qcow2`))
      .map(({ name, file }) => `the file ${file} of ${name} is gone`),
  ]
}

async function isQuiet(platform: Platform, quietMs: number): Promise<boolean> {
  const before = await versions(platform)
  await sleep(quietMs)
  return before === (await versions(platform))
}

async function versions(platform: Platform): Promise<string> {
  const all = await Promise.all(kinds.map((kind) => platform.list(kind)))
  return JSON.stringify(all.flat().map(({ metadata }) => [metadata.uid, metadata.resourceVersion]))
}

async function findQemus({ home }: Platform): Promise<Process[]> {
  const { stdout } = await run('ps', ['-eo', 'pid=,args=', '--width', '100000'], process.env)
  const lines = stdout.split('\n').filter((line) => line.includes('qemu-system') && line.includes(`${home}/`))
  return lines.map((line) => ({
    pid: Number.parseInt(line, 10),
    machineId: /-uuid ([0-9a-f-]{36})/.exec(line)?.[1] ?? '',
    disks: [...line.matchAll(/"filename":"([^"]*\/disks\/[^"]*)"/g)].map(([, path]) => path ?? ''),
  }))
}
