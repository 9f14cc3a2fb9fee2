import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import * as z from 'zod'
import type { DesiredMachine, HostAgent } from './contract.ts'
import { isMissing } from './durable-file.ts'
import { AgentError } from './errors.ts'
import { machineRecord } from './machine/record.ts'
import { decidedAnew } from './machine/testing.ts'
import { isAlive, processOf } from './machine/processes.ts'
import { findProgram, RunError } from './run.ts'
import { eventually, seen, type AgentProcess, type AgentWorld } from './testing.ts'

const WAIT_MS = 30_000
const ORDERLY_MS = 10_000
const QUIET_MS = 100
const MIB = 2 ** 20
const TRACED = 'openat,write,pwrite64,writev,ftruncate,fsync,fdatasync,rename,link,unlink,mkdir,rmdir,fchown,chown'
/** With one thread for all file system calls they come one after the other, and their number says which one it is. */
const ONE_THREAD = { UV_THREADPOOL_SIZE: '1' }

/** What a change is about. */
interface Subject {
  readonly machine: DesiredMachine
  readonly diskId: string
  readonly folder: string
}

/** One change of what a host has. It is sent again until it is answered. */
export interface Flow {
  readonly name: string
  readonly runsBefore: boolean
  readonly change: (agent: HostAgent, subject: Subject) => Promise<unknown>
  /** What the answer is to contain. */
  readonly state?: 'Running' | 'Stopped' | 'Absent'
}

/** Whether there is a strace, and it may be used. */
export async function canKillAtCalls(): Promise<boolean> {
  if (process.getuid?.() !== 0) return false
  try {
    await findProgram('strace')
    return true
  } catch (error) {
    if (error instanceof RunError) return false
    throw error
  }
}

const put = (agent: HostAgent, machine: DesiredMachine) => agent.putMachine(machine, WAIT_MS)
const off = 'ff000000-0000-4000-8000-000000000000'
/** The same decision however often it is sent. */
const anew = (machine: DesiredMachine, power: 'Stopped' | 'Absent'): DesiredMachine => {
  const next = decidedAnew(machine, { power })
  return { ...next, decision: { ...next.decision, id: off } }
}

export const flows: readonly Flow[] = [
  { name: 'create', runsBefore: false, state: 'Running', change: (agent, { machine }) => put(agent, machine) },
  {
    name: 'update',
    runsBefore: true,
    state: 'Running',
    change: (agent, { machine }) => put(agent, { ...machine, gracePeriodSeconds: 7 }),
  },
  { name: 'stop', runsBefore: true, state: 'Stopped', change: (agent, s) => put(agent, anew(s.machine, 'Stopped')) },
  { name: 'delete', runsBefore: true, state: 'Absent', change: (agent, s) => put(agent, anew(s.machine, 'Absent')) },
  {
    name: 'put a disk',
    runsBefore: false,
    change: (agent, { machine }) => agent.putDisk({ id: machine.id, storage: 'fast', sizeBytes: MIB }, WAIT_MS),
  },
  { name: 'delete a disk', runsBefore: false, change: (agent, { diskId }) => agent.deleteDisk('fast', diskId) },
  {
    name: 'put a storage',
    runsBefore: false,
    change: (agent, { folder }) => agent.putStorage({ name: 'more', path: folder }),
  },
]

/** A host with one machine that runs all the time, to see that nothing happens to it. */
export class KillWorld {
  readonly #world: AgentWorld
  #agent: AgentProcess
  #bystander: { readonly id: string; readonly pid: number | undefined } | undefined

  private constructor(world: AgentWorld, agent: AgentProcess) {
    this.#world = world
    this.#agent = agent
  }

  static async start(world: AgentWorld): Promise<KillWorld> {
    const kills = new KillWorld(world, await world.start(ONE_THREAD))
    const { agent } = kills.#agent
    const machine = await world.newMachine(agent)
    kills.#bystander = { id: machine.id, pid: (await put(agent, machine)).pid }
    return kills
  }

  /** The calls that a flow makes of those that an agent can be killed at, as strace prints them. */
  async calls(flow: Flow): Promise<readonly string[]> {
    return (await this.#play(flow, undefined)).calls
  }

  /** Kills the agent at that call of a flow; false when the flow ended before. Throws what is not as it must be. */
  async kill(flow: Flow, call: number): Promise<boolean> {
    try {
      return (await this.#play(flow, call)).isKilled
    } catch (cause) {
      throw new Error(`the agent was killed at call ${call} of "${flow.name}"`, { cause })
    }
  }

  async #play(flow: Flow, call: number | undefined): Promise<{ calls: readonly string[]; isKilled: boolean }> {
    const subject = await this.#prepare(flow)
    const before = await this.#world.pidsOf(subject.machine.id)
    const trace = await traceFiles(this.#agent.pid, call)
    const answered = await flow.change(this.#agent.agent, subject).then(() => true, notUnreachable)
    const calls = await trace.stop()
    if (!answered) await eventually('the agent that gave no answer is gone', () => this.#isGone())
    const isKilled = this.#isGone()
    if (isKilled) {
      await this.#agent.end('SIGKILL')
      this.#agent = await this.#world.start(ONE_THREAD)
      await this.#verifyState()
      await this.#verifyGuests(flow, subject, before)
    }
    const answer = await flow.change(this.#agent.agent, subject)
    await this.#verifyEnd(flow, subject, answer)
    await this.#cleanUp(subject)
    return { calls, isKilled }
  }

  #isGone(): boolean {
    const found = processOf(this.#agent.pid)
    return found === undefined || !isAlive(found)
  }

  async #prepare(flow: Flow): Promise<Subject> {
    const { agent } = this.#agent
    const machine = await this.#world.newMachine(agent, { gracePeriodSeconds: 0 })
    if (flow.runsBefore) await put(agent, machine)
    const folder = join(this.#world.dir, `storage-${randomUUID()}`)
    await mkdir(folder)
    return { machine, diskId: machine.disks[0]?.id ?? '', folder }
  }

  /** No file is torn, and none is left over. */
  async #verifyState(): Promise<void> {
    const state = join(this.#world.dir, 'state')
    // The agent that came after is at work, and writes too: but what it writes is soon in its place.
    const isOrderly = async () =>
      !(await readdir(state, { recursive: true })).some((file) => /tmp|unreadable/.test(file))
    await eventually('no file is left over or put aside', isOrderly, ORDERLY_MS)
    const files = (await readdir(state, { recursive: true })).filter((file) => !file.startsWith('reserve/spare-'))
    for (const file of files.filter((name) => name.endsWith('.json'))) {
      const content: unknown = JSON.parse(await readFile(join(state, file), 'utf8'))
      if (file.startsWith('machines/')) machineRecord.parse(content)
    }
  }

  /** Nothing runs twice, and what ran runs on unless it was just being stopped. */
  async #verifyGuests(flow: Flow, { machine }: Subject, before: readonly number[]): Promise<void> {
    const { agent } = this.#agent
    const { id, pid } = this.#bystander ?? { id: '', pid: 0 }
    await seen(agent, id, (seenMachine) => seenMachine.state === 'Running' && seenMachine.pid === pid)
    const pids = await this.#world.pidsOf(machine.id)
    const isEnded = flow.state !== 'Running'
    if (pids.length > 1) throw new Error(`there are ${pids.length} processes of one machine`)
    if (flow.runsBefore && !isEnded && pids[0] !== before[0]) throw new Error('the guest is not the same')
    const isKnown = (await agent.machines()).some((known) => known.id === machine.id)
    if (flow.runsBefore && flow.state !== 'Absent' && !isKnown) throw new Error('the machine is forgotten')
  }

  async #verifyEnd(flow: Flow, { machine }: Subject, answer: unknown): Promise<void> {
    if (flow.state !== undefined) z.object({ state: z.literal(flow.state) }).parse(answer)
    const expected = flow.state === 'Running' ? 1 : 0
    const pids = await this.#world.pidsOf(machine.id)
    if (pids.length !== expected) throw new Error(`there are ${pids.length} processes of a machine ${flow.state}`)
  }

  async #cleanUp({ machine, diskId }: Subject): Promise<void> {
    const { agent } = this.#agent
    const follows = [off, machine.decision.id]
    const decision = { id: randomUUID(), epoch: 100, follows }
    await put(agent, { ...machine, power: 'Absent', decision })
    for (const id of [diskId, machine.id]) await agent.deleteDisk('fast', id)
  }
}

function notUnreachable(error: unknown): false {
  if (error instanceof AgentError && error.code === 'UNREACHABLE') return false
  throw error
}

/** Watches the thread that makes an agent's file system calls, and kills the agent when it is about to make that one. */
async function traceFiles(pid: number, call: number | undefined): Promise<{ stop(): Promise<string[]> }> {
  const inject = call === undefined ? [] : ['-e', `inject=${TRACED}:signal=SIGKILL:when=${call}`]
  const worker = await workerOf(pid)
  const args = ['-qq', '-y', '-s', '4096', '-p', worker, '-e', `trace=${TRACED}`, ...inject]
  const child = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const exited = once(child, 'exit')
  const calls: string[] = []
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (/^\w+\(/.test(line)) calls.push(line)
  })
  await eventually('strace is attached', () => isTraced(`/proc/${pid}/task/${worker}`, child.pid ?? 0))
  return {
    stop: async () => {
      await isQuiet(calls)
      child.kill('SIGINT')
      await exited
      return calls
    },
  }
}

/** What was begun goes on after its answer. */
async function isQuiet(calls: readonly string[]): Promise<void> {
  let seenCalls: number
  do {
    seenCalls = calls.length
    await sleep(QUIET_MS)
  } while (calls.length > seenCalls)
}

async function workerOf(pid: number): Promise<string> {
  for (const id of await readdir(`/proc/${pid}/task`)) {
    if ((await readFile(`/proc/${pid}/task/${id}/comm`, 'utf8')).startsWith('libuv-worker')) return id
  }
  throw new Error('the agent has no thread for file system calls')
}

/** Also when it is gone: it may be killed at once, for an agent looks at its state from time to time. */
async function isTraced(thread: string, tracer: number): Promise<boolean> {
  try {
    const status = await readFile(join(thread, 'status'), 'utf8')
    return new RegExp(`^TracerPid:\\s+${tracer}$`, 'm').test(status)
  } catch (error) {
    if (isMissing(error) || (error instanceof Error && 'code' in error && error.code === 'ESRCH')) return true
    throw error
  }
}

/** Names that a crash of the host could leave with no content, or could lose: what strace printed must not contain any. */
export function findUnsynced(calls: readonly string[]): string[] {
  return calls.flatMap((call, index) => {
    const [, from = '', to] = /^(?:rename|link)\("([^"]+)", "([^"]+)"\) = 0/.exec(call) ?? []
    if (to === undefined) return []
    const before = calls.slice(0, index)
    // What was begun before strace was there may have been synced before.
    const isWhole = before.some((earlier) => earlier.startsWith('openat(') && earlier.includes(from))
    const isSynced = !isWhole || before.some((earlier) => isSync(earlier, from))
    const isNamed = calls.slice(index).some((later) => isSync(later, dirname(to)))
    return [...(isSynced ? [] : [`${from} is not synced`]), ...(isNamed ? [] : [`the name ${to} is not synced`])]
  })
}

function isSync(call: string, path: string): boolean {
  return /^f(data)?sync\(/.test(call) && call.includes(`<${path}>`)
}
