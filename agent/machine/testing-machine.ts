import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { devNull } from 'node:os'
import { open } from 'node:fs/promises'
import { systemClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import type { AgentError } from '../errors.ts'
import { MACHINE_ID, newScriptedMonitor, succeed, type Script } from '../qmp/testing.ts'
import { Guest } from './guest.ts'
import type { Launcher } from './launcher.ts'
import { Machine, type MachineDeps } from './machine.ts'
import { openMachines, type MachinesDeps } from './machines.ts'
import { accept } from './order.ts'
import { processOf, type FoundProcess, type HostProcess } from './processes.ts'
import type { RecordStore } from './record-store.ts'
import type { newDesired } from './testing.ts'

/** A place in the host's work where it waits until a test lets it go on. */
class Gate {
  readonly #reached = Promise.withResolvers<void>()
  readonly #opened = Promise.withResolvers<void>()
  readonly reached = this.#reached.promise

  async pass(): Promise<void> {
    this.#reached.resolve()
    await this.#opened.promise
  }

  open(): void {
    this.#opened.resolve()
  }

  /** What waits there fails. */
  fail(error: Error): void {
    this.#opened.reject(error)
  }
}

type Place = 'prepare' | 'claim' | 'release' | 'launch' | 'save'

async function startChild(children: ChildProcess[]): Promise<{ child: ChildProcess; process: HostProcess }> {
  const child = spawn('sleep', ['600'], { stdio: 'ignore' })
  children.push(child)
  await once(child, 'spawn')
  const process = processOf(child.pid ?? 0)
  if (!process) throw new Error('the process ended at once')
  return { child, process }
}

/** Starts processes that do nothing, each with the monitor at `qmp`. */
function newTestLauncher(qmp: string, children: ChildProcess[], at: (place: Place) => Promise<void>): Launcher {
  return {
    directIo: false,
    withUid: (record) => (record.buriedAt === undefined ? { uid: 5000, ...record } : record),
    noteUid: () => undefined,
    ownerOf: () => undefined,
    prepare: async () => {
      await at('prepare')
      const log = await open(devNull, 'r')
      return { log, logStart: 0, [Symbol.asyncDispose]: () => log.close() }
    },
    launch: async ({ onChange }) => {
      await at('launch')
      const { child, process } = await startChild(children)
      return new Guest(process, { id: MACHINE_ID, uid: undefined, qmp, log: silentLog, onChange }, child)
    },
    find: async () => undefined,
    findAll: async () => [],
    isHere: () => true,
    isOwn: () => true,
    hasRunDir: async () => true,
    toGuest: (process, onChange) =>
      new Guest(process, { id: MACHINE_ID, uid: undefined, qmp, log: silentLog, onChange }),
    lastWords: async () => 'it said nothing',
    ageMs: () => 0,
    clearRunDir: async () => undefined,
    clear: async () => undefined,
    releaseUid: () => undefined,
  }
}

function newGates() {
  const gates = new Map<Place, Gate>()
  return {
    at: async (place: Place) => {
      const gate = gates.get(place)
      gates.delete(place)
      await gate?.pass()
    },
    stopAt: (place: Place) => {
      const gate = new Gate()
      gates.set(place, gate)
      return gate
    },
  }
}

/** Disks that can be claimed until that is refused. */
function newTestStorage(at: (place: Place) => Promise<void>) {
  const claimed = new Set<string>()
  let refusal: AgentError | undefined
  const storage: MachineDeps['storage'] = {
    claimDisks: async (_machine, wanted) => {
      await at('claim')
      if (refusal) throw refusal
      for (const { id } of wanted) claimed.add(id)
      return wanted.map(({ id }) => ({ id, layers: [] }))
    },
    releaseDisks: async (_id, isKept) => {
      await at('release')
      for (const id of claimed) if (!isKept(id)) claimed.delete(id)
    },
  }
  const refuse = (error: AgentError | undefined) => {
    refusal = error
  }
  return { storage, claimed, refuse }
}

/** A host on which processes do nothing, and which can be stopped in the middle of its work. */
export async function newMachineWorld(script: Script = succeed) {
  const stack = new AsyncDisposableStack()
  const qemu = stack.use(await newScriptedMonitor({ script }))
  const children: ChildProcess[] = []
  stack.defer(() => void children.map((child) => child.kill('SIGKILL')))
  const { at, stopAt } = newGates()
  const { storage, claimed, refuse } = newTestStorage(at)
  const launcher = newTestLauncher(qemu.path, children, at)
  const deps: MachineDeps = {
    records: { save: () => at('save') },
    storage,
    hypervisor: {
      bootId: 'boot-1',
      qemu: async () => ({ version: '7.2', q35: 'pc-q35-7.2', machineTypes: [], hasPvpanic: true }),
    },
    launcher,
    clock: systemClock,
    log: silentLog,
    isHeld: () => false,
    onChange: () => undefined,
  }
  return {
    /** Its monitor, which every process has. */
    qemu,
    /** Every process that was started so far. */
    children,
    /** Disks that are claimed, whoever claimed them. */
    claimed,
    newMachine: (desired: ReturnType<typeof newDesired>) => {
      const machine = new Machine(launcher.withUid(accept(undefined, desired)), false, deps)
      stack.defer(() => machine.close())
      return machine
    },
    /** A process that an agent before this one started as `MACHINE_ID`. */
    startFound: () => startFound(children),
    /** What an agent makes of the processes and the records that it finds. */
    openMachines: async (found: readonly FoundProcess[], records: Pick<RecordStore, 'loadAll' | 'save'>) => {
      const machines = await openMachines(withFound(deps, found, records))
      return stack.use(machines)
    },
    /** Stops the host's work when it next comes to this place. */
    stopAt,
    refuse,
    killLast: async () => {
      const child = children.at(-1)
      if (!child) throw new Error('there is no process')
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

async function startFound(children: ChildProcess[]): Promise<FoundProcess> {
  const { process } = await startChild(children)
  return { ...process, machineId: MACHINE_ID, runDir: '/run/test', uid: 5000, name: 'default/test' }
}

function withFound(
  deps: MachineDeps,
  found: readonly FoundProcess[],
  records: Pick<RecordStore, 'loadAll' | 'save'>,
): MachinesDeps {
  return {
    ...deps,
    records: { ...records, remove: async () => undefined },
    storage: { ...deps.storage, claimsOf: async () => [] },
    launcher: { ...deps.launcher, findAll: async () => [...found] },
  }
}
