import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { DesiredMachine, ObservedMachine } from '../contract.ts'
import { isFullDisk } from '../durable-file.ts'
import { AgentError } from '../errors.ts'
import type { Hypervisor } from '../hypervisor.ts'
import type { Storage } from '../storage/storage.ts'
import { Alarm } from './alarm.ts'
import { Appearance } from './appearance.ts'
import { decide, isOfPlugs, isOfProcess, type Step } from './decide.ts'
import { DiskClaims } from './disk-claims.ts'
import { bury } from './ending.ts'
import type { Guest } from './guest.ts'
import type { Launcher } from './launcher.ts'
import { measureMachine, type MachineMeasure } from './measure.ts'
import { MachineProcess } from './machine-process.ts'
import { fullProblem, internalProblem, observe, toProblem, type Problem } from './observe.ts'
import { accept } from './order.ts'
import { findLaunchFacts, withOrder } from './plan.ts'
import type { RecordStore } from './record-store.ts'
import { isDue, isRestartDue, type MachineRecord } from './record.ts'
import { StoredRecord } from './stored-record.ts'

export interface MachineDeps {
  readonly records: Pick<RecordStore, 'save'>
  readonly storage: Pick<Storage, 'claimDisks' | 'releaseDisks'>
  readonly hypervisor: Pick<Hypervisor, 'qemu' | 'bootId'>
  readonly launcher: Launcher
  readonly clock: Clock
  readonly log: Log
  /** The host is going down: nothing starts. */
  readonly isHeld: () => boolean
  readonly onChange: (machine: ObservedMachine) => void
}

const TRY_AGAIN_MS = 10_000

/** One machine: takes orders, and works towards them one step after the other, for as long as the agent lives. */
export class Machine {
  readonly #deps: MachineDeps
  readonly #record: StoredRecord
  readonly #claims: DiskClaims
  readonly #process: MachineProcess
  readonly #alarm: Alarm
  readonly #appearance: Appearance
  #problem: Problem | undefined
  #refusal: AgentError | undefined
  /** What was refused is about to be tried again. */
  #isAskedAgain = false
  #work: Promise<void> = Promise.resolve()
  #isQueued = false
  #closed = false

  /** A new machine's record is stored with its first order. */
  constructor(record: MachineRecord, isStored: boolean, deps: MachineDeps) {
    this.#deps = deps
    this.#record = new StoredRecord(record, isStored, deps.records)
    this.#claims = new DiskClaims(this.#record, deps.storage, deps.log)
    const listener = { onChange: () => this.#changed(), onEvent: () => this.poke() }
    this.#process = new MachineProcess(this.#record, this.#claims, deps, listener)
    this.#appearance = new Appearance(deps.onChange)
    this.#alarm = new Alarm(deps.clock, () => this.poke())
  }

  get record(): StoredRecord {
    return this.#record
  }

  /** There is no process, and none is being started. */
  get isOff(): boolean {
    return this.#process.isOff
  }

  /** Takes over a process that runs. */
  async adopt(guest: Guest): Promise<void> {
    await this.#process.adopt(guest)
  }

  /** Stores an order. Throws `STALE_EPOCH` and `BAD_REQUEST`; when it returns, the order survives a crash. */
  async order(desired: DesiredMachine): Promise<void> {
    const facts = await findLaunchFacts(this.#deps.hypervisor)
    const last = this.#record.current.desired.decision.id
    await this.#record.update((record) => {
      const next = accept(record, desired, this.isOff)
      return next === record && this.#record.isStored
        ? record
        : withOrder(this.#deps.launcher.withUid(next), this.isOff ? facts : undefined)
    })
    if (desired.decision.id !== last) {
      this.#problem = undefined
      this.#refusal = undefined
    }
    this.#isAskedAgain = this.#refusal !== undefined
    this.#claims.tryReleaseAgain()
    this.#changed()
    this.poke()
  }

  /** Waits until the machine is as ordered, or cannot become so for now. Throws why its disks are refused to it. */
  async converged(waitMs: number): Promise<ObservedMachine> {
    await this.#appearance.until(() => this.#isSettled(), waitMs)
    if (this.#refusal) throw this.#refusal
    return this.observed()
  }

  observed(): ObservedMachine {
    const { guest, state, isStarting, shutdown } = this.#process
    const record = this.#record.current
    return this.#appearance.stamp(
      observe(record, {
        process: state,
        pid: guest?.process.pid,
        starting: isStarting,
        // One that cannot have what it is to be started again with runs on.
        stopping: shutdown !== undefined || (isRestartDue(record) && this.#claims.areHeld),
        guestProblem: guest?.problem,
        elsewhere: guest?.isElsewhere === true,
        held: this.#deps.isHeld(),
        problem: this.#problem,
        pendingDisks: this.#process.pendingDisks,
        lacksPort: this.#process.lacksPort,
      }),
    )
  }

  /** What it uses now. Waits no longer for a guest that hangs than a scrape may. */
  async measure(): Promise<MachineMeasure> {
    return measureMachine(this.observed(), this.#record.current, this.#process.guest)
  }

  /** As `MachineProcess.growDisk`. */
  async growDisk(id: string, sizeBytes: number): Promise<boolean> {
    return this.#process.growDisk(id, sizeBytes)
  }

  /** Makes the machine look whether there is something to do. */
  poke(): void {
    if (this.#isQueued || this.#closed) return
    this.#isQueued = true
    this.#work = this.#workAfter(this.#work)
  }

  /** Lets go of the machine. Its process runs on. */
  async close(): Promise<void> {
    this.#closed = true
    this.#alarm.set(undefined)
    this.#process.close()
    await this.#work
  }

  async #workAfter(last: Promise<void>): Promise<void> {
    await last
    this.#isQueued = false
    try {
      await this.#converge()
      if (this.#problem === internalProblem || this.#problem === fullProblem) this.#problem = undefined
    } catch (error) {
      this.#deps.log.error({ machine: this.#id, err: error }, 'a machine cannot be worked on')
      this.#problem = isFullDisk(error) ? fullProblem : internalProblem
      this.#sleep(TRY_AGAIN_MS)
    }
    this.#isAskedAgain = false
    this.#changed()
  }

  async #converge(): Promise<void> {
    while (!this.#closed) {
      const step = this.#nextStep()
      if (step.do === 'Wait') {
        this.#forgetRefusal()
        return this.#sleep(step.forMs)
      }
      const againInMs = await this.#perform(step)
      if (againInMs !== undefined) return this.#sleep(againInMs)
      this.#changed()
    }
    return undefined
  }

  #nextStep(): Step | { readonly do: 'Reap' } {
    const { guest, state, shutdown } = this.#process
    if (guest?.hasExited) return { do: 'Reap' }
    this.#process.noteState()
    if (state === 'running' && this.#problem?.code === 'StartFailed') this.#problem = undefined
    const { clock, isHeld } = this.#deps
    return decide({
      record: this.#record.current,
      process: state,
      held: isHeld(),
      shutdown,
      claimed: this.#claims.areHeld,
      surplus: this.#claims.hasSurplus(this.#process.isOpen),
      plug: this.#process.nextPlugStep,
      nowMs: clock.monotonicMs(),
      now: clock.now(),
    })
  }

  /** Returns after how many milliseconds to go on; undefined: at once. */
  async #perform(step: Exclude<Step, { do: 'Wait' }> | { readonly do: 'Reap' }): Promise<number | undefined> {
    if (isOfProcess(step)) return this.#process.perform(step.do)
    if (isOfPlugs(step)) return this.#process.plug(step)
    switch (step.do) {
      case 'Reap':
        return this.#reap()
      case 'Start':
        return this.#unlessRefused(() => this.#process.start())
      case 'Claim':
        return this.#unlessRefused(() => this.#claims.claim(this.#owner, this.#process.isOpen))
      case 'Release':
        await this.#claims.releaseSurplus(this.#process.isOpen)
        return undefined
      case 'End':
        return this.#end(step.how)
      case 'Bury':
        return this.#unlessRefused(() => this.#bury())
    }
  }

  async #end(how: 'Quit' | 'Kill'): Promise<number | undefined> {
    const againInMs = await this.#process.end(how)
    if (againInMs !== undefined) {
      const message = 'the process of the machine cannot be ended; the host may be waiting for storage'
      this.#problem = toProblem('StillRunning', message)
    }
    return againInMs
  }

  async #reap(): Promise<undefined> {
    const { id } = this.#record.current.desired.decision
    const problem = await this.#process.reap()
    // What could not start for the last decision is no problem of the next.
    this.#problem = this.#record.current.desired.decision.id === id ? problem : undefined
  }

  async #bury(): Promise<void> {
    const { launcher, clock, log } = this.#deps
    await this.#claims.releaseAll()
    await launcher.clear(this.#record.current)
    await this.#record.update((record) => bury(record, clock.now()))
    if (this.#record.current.buriedAt === undefined) return
    launcher.releaseUid(this.#id)
    log.info({ machine: this.#id, name: this.#record.current.desired.name }, 'forgotten')
  }

  /** Carries out a step that the host may have to refuse for now. The refusal is told to whoever asks. */
  async #unlessRefused(step: () => Promise<unknown>): Promise<number | undefined> {
    const { id } = this.#record.current.desired.decision
    try {
      await step()
      this.#refusal = undefined
      if (this.#problem?.code !== 'StartFailed') this.#problem = undefined
      return undefined
    } catch (error) {
      if (!(error instanceof AgentError)) throw error
      // What is refused to the last decision is not refused to the next.
      if (this.#record.current.desired.decision.id !== id) return undefined
      const { code, message } = error
      // It is tried again for as long as it is wanted.
      const isKnown = this.#refusal?.code === code && this.#refusal.message === message
      this.#deps.log[isKnown ? 'debug' : 'warn']({ machine: this.#id, code, err: error }, 'refused')
      this.#refusal = error
      this.#problem = { code, message }
      return TRY_AGAIN_MS
    }
  }

  /** Nothing is left to be done, so what was refused is no longer wanted. */
  #forgetRefusal(): void {
    if (this.#refusal && this.#problem?.code === this.#refusal.code) this.#problem = undefined
    this.#refusal = undefined
  }

  get #id(): string {
    return this.#record.id
  }

  get #owner(): ReturnType<Launcher['ownerOf']> {
    return this.#deps.launcher.ownerOf(this.#record.current)
  }

  #isSettled(): boolean {
    if (this.#isAskedAgain) return false
    if (this.#refusal || this.#problem) return true
    const { power } = this.#record.current.desired
    if (power !== 'Running') return this.observed().state === power && !this.#claims.haveSurplus
    return this.isOff ? this.#staysOff() : this.#runsAsWanted()
  }

  #staysOff(): boolean {
    const { ended, retryAt } = this.#record.current
    return ended !== undefined || retryAt !== undefined || this.#deps.isHeld()
  }

  #runsAsWanted(): boolean {
    const record = this.#record.current
    const wanted = record.desired.paused === true ? 'Paused' : 'Running'
    const { state, pendingDisks = [], pendingRestart } = this.observed()
    const hasAll = pendingDisks.length === 0 || pendingRestart.includes('disks')
    const hasDisks = hasAll && this.#process.areDisksKnown
    return state === wanted && hasDisks && this.#claims.areHeld && !isDue(record)
  }

  #changed(): void {
    this.#appearance.publish(this.observed())
  }

  #sleep(ms: number | undefined): void {
    this.#alarm.set(this.#closed ? undefined : ms)
  }
}
