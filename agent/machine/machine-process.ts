import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Hypervisor } from '../hypervisor.ts'
import { QmpError } from '../qmp/errors.ts'
import type { ProcessState, ProcessStep, Shutdown } from './decide.ts'
import type { DiskClaims } from './disk-claims.ts'
import { DiskPlugs } from './disk-plugs.ts'
import { afterEnd, howEnded, withEnd, type LastSight, type ProcessLife } from './ending.ts'
import type { Guest } from './guest.ts'
import type { Launcher } from './launcher.ts'
import { toProblem, type Problem } from './observe.ts'
import type { PlugStep } from './plugged.ts'
import { withConfirmation, withLaunch } from './plan.ts'
import { withCarriedOut, withPress, type MachineRecord } from './record.ts'
import type { StoredRecord } from './stored-record.ts'

export interface ProcessDeps {
  readonly hypervisor: Pick<Hypervisor, 'qemu' | 'bootId'>
  readonly launcher: Launcher
  readonly clock: Clock
  readonly log: Log
  /** The host is going down: nothing starts. */
  readonly isHeld: () => boolean
}

export interface ProcessListener {
  /** It looks different. */
  readonly onChange: () => void
  /** There may be something to do. */
  readonly onEvent: () => void
}

const CONNECT_MS = 5000
const ADOPT_MS = 2000
const STILL_THERE_MS = 5000
const TRY_AGAIN_MS = 10_000

/** The process of one machine, while there is one, and what can be done to it. One thing at a time. */
export class MachineProcess {
  readonly #deps: ProcessDeps
  readonly #record: StoredRecord
  readonly #claims: DiskClaims
  readonly #listener: ProcessListener
  readonly #plugs: DiskPlugs
  #guest: Guest | undefined
  #shutdown: Shutdown | undefined
  #life: ProcessLife = { startedUnder: undefined, seenRunning: false }
  #starting = false
  #closed = false

  constructor(record: StoredRecord, claims: DiskClaims, deps: ProcessDeps, listener: ProcessListener) {
    this.#record = record
    this.#claims = claims
    this.#deps = deps
    this.#listener = listener
    this.#plugs = new DiskPlugs(record, deps.launcher.directIo, deps.log)
  }

  get pendingDisks(): ReturnType<DiskPlugs['pending']> {
    return this.#plugs.pending(this.#guest, this.#deps.clock.monotonicMs())
  }

  /** Whether it is known which disks it has. */
  get areDisksKnown(): boolean {
    return this.#plugs.plugged(this.#guest) !== undefined
  }

  /** A disk waits for a root port. */
  get lacksPort(): boolean {
    return this.#plugs.lacksPort(this.#guest)
  }

  get nextPlugStep(): PlugStep {
    return this.#plugs.next(this.#guest, this.#deps.clock.monotonicMs())
  }

  /** Whether it has a disk open, as far as is known. */
  readonly isOpen = (diskId: string): boolean => this.#plugs.isOpen(this.#guest, diskId)

  /** Makes a disk larger that it has open; false when it cannot. */
  async growDisk(id: string, sizeBytes: number): Promise<boolean> {
    return this.#guest !== undefined && this.#claims.areHeld && this.#plugs.resize(this.#guest, id, sizeBytes)
  }

  get guest(): Guest | undefined {
    return this.#guest
  }

  get state(): ProcessState {
    return this.#guest ? this.#guest.state : 'None'
  }

  /** It is about to be there. */
  get isStarting(): boolean {
    return this.#starting
  }

  /** There is none, and none is being started. */
  get isOff(): boolean {
    return this.#guest === undefined && !this.#starting
  }

  get shutdown(): Shutdown | undefined {
    return this.#shutdown
  }

  /** Takes over one that runs. */
  async adopt(guest: Guest): Promise<void> {
    this.#guest = guest
    const seenRunning = this.#record.current.launch?.confirmed === true
    this.#life = { startedUnder: undefined, seenRunning }
    await guest.connect(ADOPT_MS)
  }

  /** Lets go of it. It runs on. */
  close(): void {
    this.#closed = true
    this.#guest?.[Symbol.dispose]()
  }

  /** Throws `AgentError` when the host cannot start it now, or its disks are refused to it. */
  async start(): Promise<void> {
    this.#starting = true
    this.#listener.onChange()
    try {
      await this.#launch()
    } finally {
      this.#starting = false
    }
  }

  async #launch(): Promise<void> {
    const { log, launcher, hypervisor, isHeld } = this.#deps
    const { q35 } = await hypervisor.qemu()
    const claiming = this.#claims.claim(launcher.ownerOf(this.#record.current))
    const preparing = launcher.prepare(this.#record.current)
    // Neither goes on alone: it could claim or make what nobody gives back, once the machine is forgotten.
    await Promise.allSettled([claiming, preparing])
    await using pad = await preparing
    const disks = await claiming
    await this.#record.update((record) => withLaunch(record, { bootId: hypervisor.bootId, q35 }))
    const record = this.#record.current
    // Another order may have come meanwhile; what it wants is decided anew.
    if (this.#closed || isHeld() || record.desired.power !== 'Running' || !this.#claims.areHeld) return
    this.#life = { startedUnder: record.desired.decision.id, seenRunning: false }
    const guest = await launcher.launch({ record, disks, pad, onChange: this.#listener.onEvent })
    this.#guest = guest
    this.#plugs.noteLaunch(guest)
    await guest.connect(CONNECT_MS)
    const { pid } = guest.process
    log.info({ machine: this.#record.id, name: record.desired.name, pid, state: guest.state }, 'launched')
  }

  /** Notes when it is seen running. Without the note a crash would be taken for a failed start. */
  noteState(): void {
    const guest = this.#guest
    if (!guest) return
    guest.isToBePaused = this.#record.current.desired.paused === true
    if (guest.state !== 'running') return
    this.#life = { ...this.#life, seenRunning: true }
    if (this.#record.current.launch?.confirmed !== false) return
    void this.#note((record) => withConfirmation(record, guest.process), 'a start cannot be noted')
  }

  /** Stores what the next agent is to know of the process. What happens to it does not wait until there is space for that. */
  async #note(change: (record: MachineRecord) => MachineRecord, failure: string): Promise<void> {
    try {
      await this.#record.update(change)
    } catch (error) {
      this.#deps.log.error({ machine: this.#record.id, err: error }, failure)
    }
  }

  /** What can be done to a process that runs. Returns after how many milliseconds to go on; undefined: at once. */
  async perform(step: ProcessStep): Promise<number | undefined> {
    switch (step) {
      case 'PressPowerButton':
        return this.#pressPowerButton()
      case 'CancelShutdown':
        this.#shutdown = undefined
        return undefined
      case 'Pause':
        return this.#steer('stop')
      case 'Resume':
        return this.#steer('cont')
      case 'Reset':
        return this.#reset()
    }
  }

  /** Returns after how many milliseconds to go on; undefined: at once. */
  async plug(step: Exclude<PlugStep, { do: 'Wait' }>): Promise<number | undefined> {
    if (!this.#guest) return undefined
    const nowMs = this.#deps.clock.monotonicMs()
    const againMs = await this.#plugs.perform(step, { guest: this.#guest, disks: this.#claims.granted, nowMs })
    // The file may not be as it should: the next try has storage look at it again.
    if (step.do === 'Attach' && againMs !== undefined) this.#claims.recheck()
    return againMs
  }

  async #pressPowerButton(): Promise<undefined> {
    const nowMs = this.#deps.clock.monotonicMs()
    this.#shutdown = { beganMs: this.#shutdown?.beganMs ?? nowMs, pressedMs: nowMs }
    this.#listener.onChange()
    await this.#note(withPress, 'a press of the power button cannot be noted')
    // The grace period goes on, and ends it if nothing else does.
    await this.#ask('the power button cannot be pressed', (guest) => guest.pressPowerButton())
  }

  async #steer(command: 'stop' | 'cont'): Promise<number | undefined> {
    const isDone = await this.#ask(`no answer to ${command}`, (guest) => guest.steer(command))
    return isDone ? undefined : TRY_AGAIN_MS
  }

  async #reset(): Promise<undefined> {
    // Stored before: better not at all than twice.
    await this.#record.update(withCarriedOut)
    await this.#ask('the reset button cannot be pressed', (guest) => guest.steer('system_reset'))
  }

  async #ask(failure: string, question: (guest: Guest) => Promise<void>): Promise<boolean> {
    try {
      if (this.#guest) await question(this.#guest)
      return true
    } catch (error) {
      if (!(error instanceof QmpError)) throw error
      this.#deps.log.warn({ machine: this.#record.id, code: error.code, err: error }, failure)
      return false
    }
  }

  /** Returns after how many milliseconds to try again when even a kill does not end it. */
  async end(how: 'Quit' | 'Kill'): Promise<number | undefined> {
    const guest = this.#guest
    if (!guest) return undefined
    const sight = this.#sightOf(guest)
    await this.#note((record) => withEnd(record, sight), 'the end of a guest cannot be noted')
    return (await guest.end(how)) ? undefined : STILL_THERE_MS
  }

  #sightOf({ state }: Guest): LastSight {
    return { ...this.#life, state, held: this.#deps.isHeld() }
  }

  /** Takes note of one that is gone. Returns why it could not start. */
  async reap(): Promise<Problem | undefined> {
    const guest = this.#guest
    if (!guest) return undefined
    const { clock, log, launcher } = this.#deps
    const { decision, name } = this.#record.current.desired
    const how = howEnded(this.#record.current, this.#sightOf(guest))
    const failed = how === 'FailedStart' ? toProblem('StartFailed', await launcher.lastWords(guest)) : undefined
    const ranMs = launcher.ageMs(guest)
    await this.#record.update((record) => afterEnd(record, { how, decision, ranMs }, clock.now()))
    const { pid } = guest.process
    log.info({ machine: this.#record.id, name, pid, how, why: failed?.message }, 'ended')
    guest[Symbol.dispose]()
    this.#guest = undefined
    this.#shutdown = undefined
    this.#claims.recheck()
    // What kept it from starting may be a process of its own, which a killed agent was just starting.
    const stray = await launcher.find(this.#record.current, this.#listener.onEvent)
    await (stray ? this.adopt(stray) : launcher.clearRunDir(this.#record.current))
    return failed
  }
}
