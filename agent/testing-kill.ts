import { randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import * as z from 'zod'
import type { DesiredMachine, HostAgent } from './contract.ts'
import { AgentError } from './errors.ts'
import { machineRecord } from './machine/record.ts'
import { decidedAnew } from './machine/testing.ts'
import { isAlive, processOf } from './machine/processes.ts'
import { findProgram, RunError } from './run.ts'
import { ONE_THREAD, traceCalls, type Calls } from './testing-strace.ts'
import {
  bootGuest,
  eventually,
  openFiles,
  seen,
  type AgentProcess,
  type AgentWorld,
  type BootedGuest,
} from './testing.ts'

const WAIT_MS = 30_000
const ORDERLY_MS = 10_000
const MIB = 2 ** 20

type DiskOfMachine = DesiredMachine['disks'][number]

/** What a change is about. */
interface Subject {
  readonly machine: DesiredMachine
  readonly disk: DiskOfMachine
  readonly folder: string
}

/** One change of what a host has. It is sent again until it is answered. */
export interface Flow {
  readonly name: string
  /** Of the guest that has a system, for only a system gives a disk back. Else of a machine of its own. */
  readonly ofGuest?: true
  /** The disk is one that the machine has before, which runs then; or the machine runs without it. */
  readonly before?: 'Plugged' | 'Running'
  readonly change: (agent: HostAgent, subject: Subject) => Promise<unknown>
  /** What the answer is to contain. */
  readonly state?: 'Running' | 'Paused' | 'Stopped' | 'Absent'
  /** Whether its process has the disk open then. */
  readonly isOpen?: boolean
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

const flows: readonly Flow[] = [
  { name: 'create', state: 'Running', change: (agent, { machine }) => put(agent, machine) },
  {
    name: 'update',
    before: 'Running',
    state: 'Running',
    change: (agent, { machine }) => put(agent, { ...machine, gracePeriodSeconds: 7 }),
  },
  { name: 'stop', before: 'Running', state: 'Stopped', change: (agent, s) => put(agent, anew(s.machine, 'Stopped')) },
  { name: 'delete', before: 'Running', state: 'Absent', change: (agent, s) => put(agent, anew(s.machine, 'Absent')) },
  {
    name: 'put a disk',
    change: (agent, { machine }) => agent.putDisk({ id: machine.id, storage: 'fast', sizeBytes: MIB }, WAIT_MS),
  },
  { name: 'delete a disk', change: (agent, { disk }) => agent.deleteDisk('fast', disk.id) },
  {
    name: 'put a storage',
    change: (agent, { folder }) => agent.putStorage({ name: 'more', path: folder }),
  },
  {
    name: 'plug a disk in',
    ofGuest: true,
    before: 'Running',
    state: 'Running',
    isOpen: true,
    change: (agent, { machine, disk }) => put(agent, withDisk(machine, disk)),
  },
  {
    name: 'plug a disk out',
    ofGuest: true,
    before: 'Plugged',
    state: 'Running',
    isOpen: false,
    change: (agent, { machine, disk }) => put(agent, withoutDisk(machine, disk)),
  },
  {
    name: 'grow a disk that is plugged in',
    ofGuest: true,
    before: 'Plugged',
    isOpen: true,
    change: (agent, { disk }) => agent.putDisk({ ...disk, sizeBytes: 2 * MIB }, WAIT_MS),
  },
  {
    name: 'pause',
    before: 'Running',
    state: 'Paused',
    change: (agent, { machine }) => put(agent, { ...machine, paused: true }),
  },
]

/** Every flow, with the calls of each sort. */
export const cases = flows.flatMap((flow) =>
  (['files', 'messages'] as const).map((of) => ({ flow, name: flow.name, of })),
)

const withDisk = (machine: DesiredMachine, disk: DiskOfMachine): DesiredMachine => ({
  ...machine,
  disks: [...machine.disks, disk],
})

const withoutDisk = (machine: DesiredMachine, { id }: DiskOfMachine): DesiredMachine => ({ ...machine, detach: [id] })

/** A host with one guest that runs all the time, to see that nothing happens to it but what it is told. */
export class KillWorld {
  readonly #world: AgentWorld
  readonly #guest: BootedGuest
  #agent: AgentProcess

  private constructor(world: AgentWorld, agent: AgentProcess, guest: BootedGuest) {
    this.#world = world
    this.#agent = agent
    this.#guest = guest
  }

  static async start(world: AgentWorld): Promise<KillWorld> {
    const agent = await world.start(ONE_THREAD)
    return new KillWorld(world, agent, await bootGuest(world, agent.agent))
  }

  /** The calls that a flow makes of those that an agent can be killed at, as strace prints them. */
  async calls(flow: Flow, of: Calls): Promise<readonly string[]> {
    return (await this.#play(flow, of)).calls
  }

  /** Kills the agent at that call of a flow; false when the flow ended before. Throws what is not as it must be. */
  async kill(flow: Flow, of: Calls, call: number): Promise<boolean> {
    try {
      return (await this.#play(flow, of, call)).isKilled
    } catch (cause) {
      throw new Error(`the agent was killed at call ${call} to ${of} of "${flow.name}"`, { cause })
    }
  }

  async #play(flow: Flow, of: Calls, call?: number): Promise<{ calls: readonly string[]; isKilled: boolean }> {
    const subject = await this.#prepare(flow)
    const before = await this.#world.pidsOf(subject.machine.id)
    const trace = await traceCalls(of, this.#agent.pid, call)
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
    await this.#cleanUp(flow, subject)
    return { calls, isKilled }
  }

  #isGone(): boolean {
    const found = processOf(this.#agent.pid)
    return found === undefined || !isAlive(found)
  }

  async #prepare({ ofGuest, before }: Flow): Promise<Subject> {
    const { agent } = this.#agent
    const machine = ofGuest ? this.#guest.machine : await this.#world.newMachine(agent, { gracePeriodSeconds: 0 })
    const disk = ofGuest ? { id: randomUUID(), storage: 'fast' } : machine.disks[0]
    if (!disk) throw new Error('unreachable')
    if (ofGuest) await agent.putDisk({ ...disk, sizeBytes: MIB }, WAIT_MS)
    if (before) await put(agent, before === 'Plugged' ? withDisk(machine, disk) : machine)
    const folder = join(this.#world.dir, `storage-${randomUUID()}`)
    await mkdir(folder)
    return { machine, disk, folder }
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
  async #verifyGuests({ before, state }: Flow, { machine }: Subject, running: readonly number[]): Promise<void> {
    const { agent } = this.#agent
    const { pid } = this.#guest
    await seen(agent, this.#guest.machine.id, (found) => found.state === 'Running' && found.pid === pid)
    const pids = await this.#world.pidsOf(machine.id)
    const isToEnd = state === 'Stopped' || state === 'Absent'
    if (pids.length > 1) throw new Error(`there are ${pids.length} processes of one machine`)
    if (before && !isToEnd && pids[0] !== running[0]) throw new Error('the guest is not the same')
    const isKnown = (await agent.machines()).some((known) => known.id === machine.id)
    if (before && state !== 'Absent' && !isKnown) throw new Error('the machine is forgotten')
  }

  async #verifyEnd({ ofGuest, state, isOpen }: Flow, { machine, disk }: Subject, answer: unknown): Promise<void> {
    if (state !== undefined) z.object({ state: z.literal(state), pendingDisks: z.undefined().optional() }).parse(answer)
    const isToRun = ofGuest === true || state === 'Running' || state === 'Paused'
    const pids = await this.#world.pidsOf(machine.id)
    if (pids.length !== (isToRun ? 1 : 0)) throw new Error(`there are ${pids.length} processes of a machine ${state}`)
    if (isOpen === undefined) return
    const times = (await openFiles(pids[0] ?? 0)).filter((path) => path.includes(disk.id)).length
    if (times > 0 !== isOpen) throw new Error(`the guest has the disk open ${times} times`)
  }

  async #cleanUp({ ofGuest }: Flow, { machine, disk }: Subject): Promise<void> {
    const { agent } = this.#agent
    const decision = { id: randomUUID(), epoch: 100, follows: [off, machine.decision.id] }
    await put(agent, ofGuest ? withoutDisk(machine, disk) : { ...machine, power: 'Absent', decision })
    for (const id of [disk.id, machine.id]) if (!ofGuest || id === disk.id) await agent.deleteDisk('fast', id)
  }
}

function notUnreachable(error: unknown): false {
  if (error instanceof AgentError && error.code === 'UNREACHABLE') return false
  throw error
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
