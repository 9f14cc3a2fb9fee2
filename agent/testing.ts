import { spawn, type ChildProcess } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import * as z from 'zod'
import { writeBootSector } from '../lib/testing/boot-sector.ts'
import { newAuthority, type Authority } from '../lib/tls/authority.ts'
import { connectAgent } from './client.ts'
import type { DesiredDisk, DesiredMachine, HostAgent, ObservedMachine } from './contract.ts'
import { readIfThere } from './durable-file.ts'
import { findMachines, isAlive, kill, processOf } from './machine/processes.ts'
import { newDesired } from './machine/testing.ts'
import { foldersOf, machinePaths, type MachinePaths } from './paths.ts'

const MIB = 2 ** 20
const HOST = 'host-1'
const CLIENT = 'holdfast-controllers'
const START_MS = 60_000
const POLL_MS = 20
// What Node has made of the source before is half of what a start costs.
// oxlint-disable-next-line node/no-process-env -- It is this computer's, and no test's.
const { NODE_COMPILE_CACHE } = process.env
const WAIT_MS = 30_000

/** A process `node agent/main.ts`, and a client of it. */
export interface AgentProcess {
  readonly agent: HostAgent
  readonly pid: number
  readonly port: number
  /** Ends it with a signal, and waits until it is gone. Its guests run on. */
  end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null>
}

/** What one host has: folders, certificates, and one agent process at a time on them. */
export interface AgentWorld extends AsyncDisposable {
  readonly dir: string
  readonly importDir: string
  readonly storagePath: string
  readonly authority: Authority
  pathsOf(id: string): MachinePaths
  /** Waits until it serves, for a client of that term. Throws what it printed when it ends instead. */
  start(env?: Readonly<Record<string, string>>, term?: number): Promise<AgentProcess>
  /** A machine with a disk of its own, which is made. */
  newMachine(agent: HostAgent, change?: Partial<DesiredMachine>, disk?: Partial<DesiredDisk>): Promise<DesiredMachine>
  /** Pids of the QEMUs of this world. */
  pidsOf(id: string): Promise<number[]>
}

/** When it goes, every agent and every guest that was started in it is killed. */
export async function newAgentWorld(): Promise<AgentWorld> {
  const dir = await mkdtemp(join(tmpdir(), 'hf-'))
  await chmod(dir, 0o755) // Guests have users of their own.
  const [importDir, storagePath, tls, run] = ['import', 'storage', 'tls', 'run'].map((name) => join(dir, name))
  if (!importDir || !storagePath || !tls || !run) throw new Error('unreachable')
  await Promise.all([importDir, storagePath, tls].map((path) => mkdir(path)))
  const authority = await newAuthority('test')
  await writeServerFiles(authority, tls)
  const children: ChildProcess[] = []
  const folders = foldersOf(join(dir, 'state'), run)

  return {
    dir,
    importDir,
    storagePath,
    authority,
    pathsOf: (id) => machinePaths(folders, id),
    start: async (env = {}, term = 1) => {
      // As on a host that was made safe by taking every right from others.
      const command = ['-c', 'umask 077; exec "$0" "$1"', process.execPath, join(import.meta.dirname, 'main.ts')]
      const child = spawn('sh', command, {
        env: { NODE_COMPILE_CACHE, PATH: '/usr/sbin:/usr/bin:/sbin:/bin', ...environment(dir), ...env },
        stdio: ['ignore', 'inherit', 'pipe'],
      })
      children.push(child)
      const port = await readPort(child)
      const agent = connectAgent({ ...(await addressOf(authority, port)), term: () => term })
      if (port !== 0) await agent.putStorage({ name: 'fast', path: storagePath })
      return { agent, port, pid: child.pid ?? 0, end: (signal) => end(child, signal) }
    },
    newMachine: async (agent, change = {}, disk = {}) => {
      const id = randomUUID()
      await agent.putDisk({ id, storage: 'fast', sizeBytes: 64 * MIB, ...disk }, 30_000)
      return { ...newDesired(), disks: [{ id, storage: 'fast' }], ...change }
    },
    pidsOf: async (id) =>
      (await findMachines()).filter((found) => found.runDir === run && found.machineId === id).map(({ pid }) => pid),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(children.map((child) => end(child, 'SIGKILL')))
      for (const guest of (await findMachines()).filter(({ runDir }) => runDir === run)) {
        kill(guest)
        await eventually(`guest ${guest.pid} is gone`, () => !isAlive(guest))
      }
      await rm(dir, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

export async function addressOf(authority: Authority, port: number, commonName = CLIENT) {
  const { certificate, key } = await authority.issue({ commonName, usages: ['Client'] })
  return {
    address: '127.0.0.1',
    port,
    hostName: HOST,
    term: () => 1,
    tls: { ca: authority.certificate, certificate, key },
  }
}

async function writeServerFiles(authority: Authority, folder: string): Promise<void> {
  const { certificate, key } = await authority.issue({ commonName: HOST, dnsNames: [HOST], usages: ['Server'] })
  await writeFile(join(folder, 'ca.crt'), authority.certificate)
  await writeFile(join(folder, 'agent.crt'), certificate)
  await writeFile(join(folder, 'agent.key'), key)
}

function environment(dir: string): Record<string, string> {
  return {
    HOLDFAST_AGENT_NAME: HOST,
    HOLDFAST_AGENT_STATE_DIR: join(dir, 'state'),
    HOLDFAST_AGENT_RUN_DIR: join(dir, 'run'),
    HOLDFAST_AGENT_IMPORT_DIR: join(dir, 'import'),
    HOLDFAST_AGENT_PORT: '0',
    HOLDFAST_AGENT_TLS_CERT: join(dir, 'tls', 'agent.crt'),
    HOLDFAST_AGENT_TLS_KEY: join(dir, 'tls', 'agent.key'),
    HOLDFAST_AGENT_CLIENT_CA: join(dir, 'tls', 'ca.crt'),
  }
}

const readyLine = z.object({
  msg: z.literal('the agent is ready'),
  addresses: z.tuple([z.object({ port: z.int() })], z.unknown()),
})

/** The port that an agent says it listens on. Goes on reading what it prints. */
async function readPort(child: ChildProcess): Promise<number> {
  if (!child.stderr) throw new Error('unreachable')
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const printed: string[] = []
  createInterface({ input: child.stderr }).on('line', (line) => {
    printed.push(line)
    const ready = readyLine.safeParse(parseJson(line))
    if (ready.success) resolve(ready.data.addresses[0].port)
  })
  child.once('close', () => reject(new Error(`the agent ended:\n${printed.join('\n')}`)))
  const timer = setTimeout(() => reject(new Error(`the agent is not ready:\n${printed.join('\n')}`)), START_MS)
  try {
    return await promise
  } finally {
    clearTimeout(timer)
  }
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

async function end(child: ChildProcess, signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, 'exit')
    child.kill(signal)
    await exited
  }
  return child.exitCode
}

/** Waits until something is true. It is looked at again and again, for as long as a slow machine may need. */
export async function eventually(
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  timeoutMs = 60_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await sleep(POLL_MS)
  }
}

/** Waits until a machine looks like that, and returns it. */
export async function seen(
  agent: HostAgent,
  id: string,
  isRight: (machine: ObservedMachine) => boolean,
): Promise<ObservedMachine> {
  let last: ObservedMachine | undefined
  const look = async () => {
    last = (await agent.machines()).find((machine) => machine.id === id)
    return last !== undefined && isRight(last)
  }
  await eventually('a machine looks as expected', look).catch((cause: unknown) => {
    throw new Error(`the machine was last seen as ${JSON.stringify(last)}`, { cause })
  })
  if (!last) throw new Error('unreachable')
  return last
}

/** Paths of what a process has open. */
export async function openFiles(pid: number): Promise<string[]> {
  const folder = `/proc/${pid}/fd`
  return Promise.all((await readdir(folder)).map((name) => readlink(join(folder, name)).catch(() => '')))
}

/** Kills a process at once, and waits until it is gone. */
export async function killPid(pid: number | undefined): Promise<void> {
  const target = pid === undefined ? undefined : processOf(pid)
  if (!target) throw new Error(`there is no process ${pid}`)
  kill(target)
  await eventually(`process ${pid} is gone`, () => !isAlive(target))
}

/** Writes into a guest's serial console. */
export async function typeInto({ console }: MachinePaths, text: string): Promise<void> {
  const socket = connect(console)
  await once(socket, 'connect')
  socket.end(text)
  await once(socket.resume(), 'close')
}

/** What a guest wrote to its serial console. */
export async function serialLog({ serialLog: path }: MachinePaths): Promise<string> {
  return (await readIfThere(path)) ?? ''
}

const guestImage = z.object({ path: z.string(), sha256: z.string() })

/** The small Linux that the project builds, put into the import folder. */
export async function putGuestImage(world: AgentWorld): Promise<NonNullable<DesiredDisk['image']>> {
  const child = spawn(process.execPath, [join(import.meta.dirname, '..', 'hack', 'guest-image.ts')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const { path, sha256 } = guestImage.parse(JSON.parse((await child.stdout.toArray()).join('')))
  await exited
  await writeFile(join(world.importDir, 'guest.qcow2'), await readFile(path))
  return { path: 'guest.qcow2', format: 'qcow2', sha256 }
}

async function putBootSector(world: AgentWorld): Promise<NonNullable<DesiredDisk['image']>> {
  const file = join(world.importDir, 'sector.raw')
  await writeBootSector(file)
  const sha256 = createHash('sha256')
    .update(await readFile(file))
    .digest('hex')
  return { path: 'sector.raw', format: 'raw', sha256 }
}

export interface BootedGuest {
  readonly machine: DesiredMachine
  readonly pid: number | undefined
}

/** A guest with a system on its disk, which has booted once, and whose shell is there. */
export async function bootGuest(
  world: AgentWorld,
  agent: HostAgent,
  change: Partial<DesiredMachine> = {},
): Promise<BootedGuest> {
  return boot(
    world,
    agent,
    { memoryBytes: 192 * MIB, macs: ['52:54:00:12:34:56'], ...change },
    await putGuestImage(world),
  )
}

/** A guest that is one sector (lib/testing/boot-sector.ts), which has booted once. */
export async function bootSector(
  world: AgentWorld,
  agent: HostAgent,
  change: Partial<DesiredMachine> = {},
): Promise<BootedGuest> {
  return boot(world, agent, change, await putBootSector(world))
}

async function boot(
  world: AgentWorld,
  agent: HostAgent,
  change: Partial<DesiredMachine>,
  image: NonNullable<DesiredDisk['image']>,
): Promise<BootedGuest> {
  const machine = await world.newMachine(agent, { gracePeriodSeconds: 60, ...change }, { image, sizeBytes: 96 * MIB })
  const { pid } = await agent.putMachine(machine, WAIT_MS)
  await hasBooted(world, machine, 1)
  return { machine, pid }
}

/** Waits until a guest has booted so many times, and its shell is there if it has one. */
export async function hasBooted(world: AgentWorld, { id }: DesiredMachine, times: number): Promise<void> {
  const said = `holdfast-guest: boots ${times}\r\n`
  const log = async () => serialLog(world.pathsOf(id))
  await eventually(said, async () => (await log()).includes(said), 120_000)
  if ((await log()).includes('from one sector')) return
  // Its shell is there a little later.
  await eventually('its shell', async () => (await log()).split(said)[1]?.includes('# ') ?? false)
}
