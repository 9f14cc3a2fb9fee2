import { readdir, readlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as z from 'zod'
import { mayKeepDisks, wrongDisk } from './disk-invariants.ts'
import { wrongDownloads } from './download-invariants.ts'
import { condition, isReady, qemus, type Found, type Platform } from './platform.ts'
import type { QmpTap } from './qmp-tap.ts'
import { entries, type Entry } from './recycle-bin.ts'
import { HOST, type UnderTest } from './under-test.ts'

const QUIET_MS = 1_500
const PATIENCE_MS = 60_000
/** How long a status may say something else than QEMU does. */
const STALE_MS = 10_000
const POLL_MS = 250
const kinds = ['virtualmachines', 'disks', 'images', 'hosts', 'datastorages', 'recycledresources', 'platformsettings']

interface Process {
  readonly pid: number
  readonly machineId: string
  /** Ids of the disks that it has open, also those that were plugged in. */
  readonly disks: readonly string[]
  /** What it says of its guest over QMP, where a test can ask it. */
  readonly guest: string | undefined
}

/**
 * Waits until nothing is wrong any more, and then that nothing is written any more. Throws with what is still wrong.
 * Wrong is: a machine with another number of QEMUs than its spec wants; a QEMU without a disk that its machine is to
 * have, or with another while it says that all is as ordered; two QEMUs that write one disk; a status that says something
 * else than the processes, or than QMP for 10 s on end; a process, a socket or a file that belongs to no object; a
 * download with other bytes, or of which a part is left; an object or an entry of the recycle bin without its file, or two with the same one; an entry that is neither kept nor
 * ended.
 */
export async function untilSound(test: UnderTest, quietMs = QUIET_MS): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS + quietMs
  const stale = new Map<string, number>()
  for (;;) {
    const { wrong, untrue } = await findWrong(test)
    refuseStale(stale, untrue)
    if (wrong.length === 0 && (await isQuiet(test.platform, quietMs))) return
    if (performance.now() > deadline)
      throw new Error(wrong.length > 0 ? wrong.join('\n') : 'something is written again and again')
    await sleep(POLL_MS)
  }
}

/** Throws when a machine has been shown otherwise than it is at every look since too long. */
function refuseStale(since: Map<string, number>, untrue: ReadonlyMap<string, string>): void {
  const now = performance.now()
  for (const name of [...since.keys()].filter((known) => !untrue.has(known))) since.delete(name)
  for (const [name, what] of untrue) {
    const first = since.get(name) ?? now
    since.set(name, first)
    if (now - first > STALE_MS) throw new Error(`for ${STALE_MS} ms on end, ${what}`)
  }
}

interface Findings {
  readonly wrong: readonly string[]
  /** By name of the machine, how it is shown and what QEMU says. */
  readonly untrue: ReadonlyMap<string, string>
}

async function findWrong({ platform, storage, tap }: UnderTest): Promise<Findings> {
  const [vms, disks, images, bin, processes] = [
    await platform.list('virtualmachines'),
    await platform.list('disks'),
    await platform.list('images'),
    await entries(platform),
    await findQemus(platform, tap),
  ]
  const files = await readdir(join(storage, 'disks'))
  const untrue = untrueStatuses(vms, processes)
  const wrong = [
    ...untrue.values(),
    ...vms.flatMap((vm) => objections(vm, processes, disks)),
    ...disks.flatMap((disk) => wrongDisk(disk, vms)),
    ...images.filter((image) => !isReady(image)).map(({ metadata }) => `Image ${metadata.name}`),
    ...(await wrongDownloads(platform, images, bin)),
    ...strangers(vms, processes),
    ...writersOfOne(processes),
    ...(await leftSockets(platform, processes)),
    ...bin
      .filter((entry) => isStuck(entry, [...vms, ...disks, ...images]))
      .map(({ name, phase }) => `entry ${name} is ${phase}`),
    ...wrongFiles(files, holdersOf(disks, bin)),
  ]
  return { wrong, untrue }
}

/** States of QEMU that a machine has which is shown so. */
const shownAs: Readonly<Record<string, string>> = { Running: 'running', Paused: 'paused' }

function untrueStatuses(vms: readonly Found[], processes: readonly Process[]): Map<string, string> {
  const untrue = new Map<string, string>()
  for (const { metadata, status } of vms.filter((vm) => vm.status?.host === HOST)) {
    const shown = status?.printableStatus ?? ''
    const guest = processes.find(({ machineId }) => machineId === status?.machineId)?.guest
    // What is on its way is shown as such, whatever QEMU has come to.
    const isUntrue = shown in shownAs ? guest !== shownAs[shown] : shown === 'Stopped' && guest !== undefined
    if (isUntrue) untrue.set(metadata.name, `${metadata.name} is shown as ${shown}, and QEMU says ${String(guest)}`)
  }
  return untrue
}

const size = z.looseObject({ cpus: z.int(), memory: z.string() })

const spec = z.looseObject({
  runStrategy: z.string(),
  power: z.object({ request: z.string() }).optional(),
  disks: z.array(z.object({ diskRef: z.object({ name: z.string() }) })).default([]),
})

function objections(vm: Found, processes: readonly Process[], disks: readonly Found[]): string[] {
  const { name } = vm.metadata
  if (vm.status?.host?.startsWith('simulated') === true) return [] // Has no process of its own.
  if (!isReady(vm)) return [`VirtualMachine ${name} is not ready: ${JSON.stringify(condition(vm))}`]
  const its = processes.filter(({ machineId }) => machineId === vm.status?.machineId)
  const running = its.length
  const wanted = wantedState(vm)
  const shown = vm.status?.printableStatus
  return [
    ...(running === (wanted === 'Stopped' ? 0 : 1) ? [] : [`${name} has ${running} processes of QEMU`]),
    ...(shown === wanted ? [] : [`${name} is ${String(shown)} and not ${wanted}`]),
    ...its.flatMap(({ disks: open }) => wrongDisks(vm, open, disks)),
    ...undone(vm),
    ...wrongSize(vm),
  ]
}

function wrongDisks(vm: Found, open: readonly string[], disks: readonly Found[]): string[] {
  const { name } = vm.metadata
  const names = [vm.status?.['rootDisk'], ...spec.parse(vm['spec']).disks.map(({ diskRef }) => diskRef.name)]
  const wanted = disks.filter(({ metadata }) => names.includes(metadata.name)).map(({ status }) => status?.id ?? '')
  const missing = wanted.filter((id) => !open.includes(id))
  // A guest may keep what it is asked to give back.
  const isKept = mayKeepDisks(vm)
  const others = isKept ? [] : open.filter((id) => !wanted.includes(id))
  return [
    ...missing.map((id) => `the process of ${name} has not disk ${id}`),
    ...others.map((id) => `the process of ${name} still has disk ${id}`),
  ]
}

/** Cpus and memory that its host counts for it, where no restart is needed to have what the spec says. */
function wrongSize(vm: Found): string[] {
  const { cpus, memory } = size.parse(vm['spec'])
  const given = size.partial().parse(vm.status?.['allocated'] ?? {})
  const isGiven = given.cpus === cpus && given.memory === memory
  const isLater = condition(vm, 'SpecApplied')?.reason === 'RestartRequired'
  return isGiven || isLater
    ? []
    : [`${vm.metadata.name} has ${JSON.stringify(given)}, and not ${memory} and ${cpus} CPUs`]
}

/** A change of the spec that can be made at once, and is not. */
function undone(vm: Found): string[] {
  const { reason = '', status, message } = condition(vm, 'SpecApplied') ?? {}
  const isDone = status === 'True' || mayKeepDisks(vm) || reason === 'RestartRequired'
  return isDone ? [] : [`${vm.metadata.name} is not as its spec says: ${reason}, ${String(message)}`]
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

/** Nothing is made, changed or deleted. Events go by themselves, after an hour. */
async function isQuiet(platform: Platform, quietMs: number): Promise<boolean> {
  const before = await versions(platform)
  await sleep(quietMs)
  const after = await versions(platform)
  const isGone = [...before.objects].some((one) => !after.objects.has(one))
  const isNew = [...after.objects, ...after.events].some((one) => !before.objects.has(one) && !before.events.has(one))
  return !isGone && !isNew
}

interface Versions {
  readonly objects: ReadonlySet<string>
  readonly events: ReadonlySet<string>
}

async function versions(platform: Platform): Promise<Versions> {
  const of = async (plural: string) =>
    (await platform.list(plural)).map(({ metadata }) => `${metadata.uid} ${metadata.resourceVersion}`)
  const [events, ...objects] = await Promise.all(['events', ...kinds].map(of))
  return { objects: new Set(objects.flat()), events: new Set(events) }
}

async function findQemus(platform: Platform, tap: QmpTap): Promise<Process[]> {
  return Promise.all(
    (await qemus(platform)).map(async ({ pid, machineId }) => {
      const [disks, guest] = await Promise.all([openDisks(pid), tap.stateOf(pid)])
      return { pid, machineId, disks, guest }
    }),
  )
}

/** Ids of the disks whose files a process has open. None of one that has just ended. */
export async function openDisks(pid: number): Promise<string[]> {
  const folder = `/proc/${pid}/fd`
  const names = await readdir(folder).catch(() => [])
  const paths = await Promise.all(names.map((name) => readlink(join(folder, name)).catch(() => '')))
  const ids = paths
    .filter((path) => /\/disks\/[0-9a-f-]{36}\.qcow2$/.test(path))
    .map((path) => basename(path, '.qcow2'))
  return [...new Set(ids)]
}
