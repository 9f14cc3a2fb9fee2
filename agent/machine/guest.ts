import type { ChildProcess } from 'node:child_process'
import { lstat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../../lib/log.ts'
import type { RunState } from '../qmp/commands.ts'
import { QmpError } from '../qmp/errors.ts'
import type { Args, Command, Reply } from '../qmp/commands.ts'
import { Monitor, type MonitorEvent } from '../qmp/monitor.ts'
import { isAlive, kill, type HostProcess } from './processes.ts'

/** Silent: the process lives, but its monitor does not answer. */
export type GuestState = 'Silent' | RunState

/** A disk failed that QEMU paused for, in state `io-error`; or, in state Silent, another process answers for it. */
export type GuestProblem = 'nospace' | 'failed' | 'foreign'

const CONNECT_AGAIN_MS = 2
const TICK_MS = 1000
/** A monitor that hangs is found within this many seconds and `LOOK_MS`. */
const REFRESH_TICKS = 5
const LOOK_MS = 4000
const QUIT_MS = 5000
/** How soon a write that is tried again fails again. */
const RESUMED_MS = 300
const KILL_MS = 5000

export interface GuestDeps {
  /** The machine's. */
  readonly id: string
  /** User that the process runs as. */
  readonly uid: number | undefined
  /** Path of its monitor, in a folder in which the process may change everything. */
  readonly qmp: string
  /** Its sockets lie below another run folder than the agent's. */
  readonly isElsewhere?: boolean
  readonly log: Log
  /** The state changed, or the process ended. */
  readonly onChange: () => void
}

/** A QEMU process that runs, with its monitor. It stays alive when this object goes. */
export class Guest implements Disposable {
  readonly process: HostProcess
  /** It is to stay halted: what its disk refused is not tried again meanwhile. */
  isToBePaused = false
  readonly #deps: GuestDeps
  readonly #exit = Promise.withResolvers<void>()
  #monitor: Monitor | undefined
  #state: GuestState = 'Silent'
  #problem: GuestProblem | undefined
  #hasExited = false
  #deviceDeletions = 0
  #ticks = 0
  #connecting = false
  #resuming = false
  readonly #timer: NodeJS.Timeout
  /** Its end is told, and need not be looked for. */
  readonly #isChild: boolean

  constructor(process: HostProcess, deps: GuestDeps, child?: ChildProcess) {
    this.process = process
    this.#deps = deps
    this.#isChild = child !== undefined
    child?.once('exit', () => this.#finish())
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
  }

  /** The last that its monitor said. What it was at the end stays, to tell a shutdown from a crash. */
  get state(): GuestState {
    return this.#state
  }

  get problem(): GuestProblem | undefined {
    return this.#problem
  }

  /** Its sockets lie where only this agent, which adopted it, looks for them. */
  get isElsewhere(): boolean {
    return this.#deps.isElsewhere === true
  }

  get hasExited(): boolean {
    return this.#hasExited
  }

  /** Waits until the monitor answers. False when the process ended or the time is over. */
  async connect(timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs
    this.#connecting = true
    try {
      while (performance.now() < deadline && !this.#isOver()) {
        if (await this.#tryConnect(deadline - performance.now())) return true
        await sleep(CONNECT_AGAIN_MS)
      }
      return false
    } finally {
      this.#connecting = false
    }
  }

  /** Presses the power button. The guest decides when to obey. */
  async pressPowerButton(): Promise<void> {
    await this.#tell('system_powerdown')
  }

  /** How many devices it gave back since this object is there. */
  get deviceDeletions(): number {
    return this.#deviceDeletions
  }

  /** Asks its monitor, for as long as a monitor is usually asked. Throws `QmpError`. */
  async ask<C extends Command>(command: C, args?: Args<C>, timeoutMs?: number): Promise<Reply<C>> {
    if (!this.#monitor) throw new QmpError('QMP_DISCONNECTED', `${command}: no connection`)
    return this.#monitor.execute(command, args, timeoutMs)
  }

  /** Halts the guest, lets it go on, or presses its reset button. Throws `QmpError`. */
  async steer(command: 'stop' | 'cont' | 'system_reset'): Promise<void> {
    await this.#tell(command)
    await this.refresh()
  }

  /** Sends a command without arguments. One that hears none of it in time is silent from then on. Throws `QmpError`. */
  async #tell(command: 'stop' | 'cont' | 'system_reset' | 'system_powerdown'): Promise<void> {
    try {
      await this.#monitor?.execute(command)
    } catch (error) {
      if (error instanceof QmpError && error.code === 'QMP_TIMEOUT') this.#become('Silent', undefined)
      throw error
    }
  }

  /** Ends the process, at first by asking it to close its disks. False when even a kill does not end it in time. */
  async end(how: 'Quit' | 'Kill'): Promise<boolean> {
    if (how === 'Quit' && (await this.#quit())) return true
    kill(this.process)
    return this.#exitsWithin(KILL_MS)
  }

  /** Asks for the state now. Afterwards it is as QEMU says, or Silent. */
  async refresh(): Promise<void> {
    const monitor = this.#monitor
    if (!monitor) return
    try {
      const { status } = await monitor.execute('query-status', undefined, LOOK_MS)
      const problem = status === 'io-error' ? await findDiskProblem(monitor) : undefined
      this.#become(status, problem)
    } catch (error) {
      if (!(error instanceof QmpError)) throw error
      // The connection may have ended with the process, and what it said last is then what it ended with.
      if (error.code === 'QMP_DISCONNECTED') return
      this.#deps.log.warn({ pid: this.process.pid, code: error.code, err: error }, 'a guest does not tell its state')
      this.#become('Silent', undefined)
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#monitor?.close()
  }

  async #tryConnect(timeoutMs: number): Promise<boolean> {
    if (this.#monitor) return true
    const link = { ended: false }
    const listener = {
      onEvent: (event: MonitorEvent) => this.#hear(event),
      onEnd: () => {
        link.ended = true
        this.#disconnected()
      },
    }
    try {
      if (!(await isOwnSocket(this.#deps))) return this.#distrust('its socket was exchanged')
      const monitor = await Monitor.connect(this.#deps.qmp, listener, Math.max(1, timeoutMs))
      const { machineId } = monitor
      if (machineId !== this.#deps.id) {
        monitor.close()
        return this.#distrust(`it is the one of machine ${machineId}`)
      }
      if (link.ended) return false
      this.#monitor = monitor
      await this.refresh()
      return true
    } catch (error) {
      // Not there yet, or it ended meanwhile: the caller looks again.
      this.#deps.log.debug({ pid: this.process.pid, err: error }, 'no connection to a monitor yet')
      return false
    }
  }

  /** Nothing is asked of a monitor that is not the process's own, least of all to end. */
  #distrust(why: string): false {
    const { id: machine, log } = this.#deps
    if (this.#problem !== 'foreign') log.error({ machine, pid: this.process.pid, why }, 'a monitor is not trusted')
    this.#become('Silent', 'foreign')
    return false
  }

  #hear(event: MonitorEvent): void {
    if (event === 'DEVICE_DELETED') {
      this.#deviceDeletions += 1
      this.#deps.onChange()
    } else if (!this.#resuming) void this.refresh()
  }

  #disconnected(): void {
    if (!this.#monitor) return
    this.#monitor = undefined
    // The process closes its socket a little before it is gone.
    for (const ms of [0, 2, 10, 50, 200]) setTimeout(() => this.#isOver(), ms).unref()
    setTimeout(() => {
      if (!this.#isOver() && !this.#monitor && this.#state !== 'Silent') this.#become('Silent', undefined)
    }, 500).unref()
  }

  #tick(): void {
    if (this.#isChild ? this.#hasExited : this.#isOver()) return
    this.#ticks += 1
    if (!this.#monitor) void this.#reconnect()
    else if (this.#ticks % REFRESH_TICKS === 0) void this.#look(this.#monitor)
  }

  async #look(monitor: Monitor): Promise<void> {
    if (this.#state === 'io-error' && !this.isToBePaused) await this.#resume(monitor)
    await this.refresh()
  }

  /** Lets a guest try again what its disk refused. Meanwhile its state is not told: mostly it soon is as it was. */
  async #resume(monitor: Monitor): Promise<void> {
    this.#resuming = true
    try {
      await monitor.execute('cont')
      await sleep(RESUMED_MS)
    } catch (error) {
      if (!(error instanceof QmpError)) throw error
      this.#deps.log.warn({ pid: this.process.pid, code: error.code, err: error }, 'a guest cannot be resumed')
    } finally {
      this.#resuming = false
    }
  }

  async #reconnect(): Promise<void> {
    if (this.#connecting) return
    this.#connecting = true
    await this.#tryConnect(QUIT_MS).finally(() => (this.#connecting = false))
  }

  async #quit(): Promise<boolean> {
    if (!this.#monitor) return this.#isOver()
    try {
      await this.#monitor.execute('quit')
    } catch (error) {
      // It may end before it answers. Whether it did is looked at, not believed.
      this.#deps.log.debug({ pid: this.process.pid, err: error }, 'no answer to quit')
    }
    return this.#exitsWithin(QUIT_MS)
  }

  async #exitsWithin(ms: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms)
    })
    await Promise.race([this.#exit.promise, timeout])
    clearTimeout(timer)
    return this.#isOver()
  }

  #become(state: GuestState, problem: GuestProblem | undefined): void {
    if (state === this.#state && problem === this.#problem) return
    this.#state = state
    this.#problem = problem
    this.#deps.onChange()
  }

  #isOver(): boolean {
    if (!this.#hasExited && !isAlive(this.process)) this.#finish()
    return this.#hasExited
  }

  #finish(): void {
    if (this.#hasExited) return
    this.#hasExited = true
    clearInterval(this.#timer)
    this.#exit.resolve()
    this.#deps.onChange()
  }
}

/** Whether the process made what lies there, and no link leads elsewhere. Throws when there is nothing yet. */
async function isOwnSocket({ qmp, uid }: GuestDeps): Promise<boolean> {
  const found = await lstat(qmp)
  return found.isSocket() && (uid === undefined || found.uid === uid)
}

async function findDiskProblem(monitor: Monitor): Promise<'nospace' | 'failed'> {
  const blocks = await monitor.execute('query-block')
  return blocks.some((block) => block['io-status'] === 'nospace') ? 'nospace' : 'failed'
}
