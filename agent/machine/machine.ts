import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { DesiredMachine, ObservedMachine } from '../contract.ts'
import { AgentError } from '../errors.ts'
import type { Hypervisor } from '../hypervisor.ts'
import { QmpError } from '../qmp/errors.ts'
import type { Storage } from '../storage/storage.ts'
import { Alarm } from './alarm.ts'
import { Appearance } from './appearance.ts'
import { decide, type Shutdown, type Step } from './decide.ts'
import { DiskClaims } from './disk-claims.ts'
import { afterEnd, bury, howEnded, type ProcessLife } from './ending.ts'
import type { Guest } from './guest.ts'
import type { Launcher } from './launcher.ts'
import { internalProblem, observe, toProblem, type Problem } from './observe.ts'
import { accept } from './order.ts'
import { findLaunchFacts, withConfirmation, withLaunch, withOrder } from './plan.ts'
import type { RecordStore } from './record-store.ts'
import type { MachineRecord } from './record.ts'
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

const CONNECT_MS = 5000
const ADOPT_MS = 2000
const TRY_AGAIN_MS = 10_000
const STILL_THERE_MS = 5000

/** One machine: takes orders, and works towards them one step after the other, for as long as the agent lives. */
export class Machine {
  readonly #deps: MachineDeps
  readonly #record: StoredRecord
  readonly #claims: DiskClaims
  readonly #alarm: Alarm
  readonly #appearance: Appearance
  #guest: Guest | undefined
  #shutdown: Shutdown | undefined
  #life: ProcessLife = { startedUnder: undefined, pressed: false, seenRunning: false }
  #starting = false
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
    this.#appearance = new Appearance(deps.onChange)
    this.#alarm = new Alarm(deps.clock, () => this.poke())
  }

  get record(): StoredRecord {
    return this.#record
  }

  /** There is no process, and none is being started. */
  get isOff(): boolean {
    return this.#guest === undefined && !this.#starting
  }

  /** Takes over a process that runs. */
  async adopt(guest: Guest): Promise<void> {
    this.#guest = guest
    const seenRunning = this.#record.current.launch?.confirmed === true
    this.#life = { startedUnder: undefined, pressed: false, seenRunning }
    await guest.connect(ADOPT_MS)
  }

  /** Stores an order. Throws `STALE_EPOCH` and `BAD_REQUEST`; when it returns, the order survives a crash. */
  async order(desired: DesiredMachine): Promise<void> {
    const facts = await findLaunchFacts(this.#deps.hypervisor)
    const last = this.#record.current.desired.decision.id
    await this.#record.update((record) => {
      const next = accept(record, desired)
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
    const guest = this.#guest
    return this.#appearance.stamp(
      observe(this.#record.current, {
        process: guest ? guest.state : 'None',
        pid: guest?.process.pid,
        starting: this.#starting,
        stopping: this.#shutdown !== undefined,
        guestProblem: guest?.problem,
        held: this.#deps.isHeld(),
        problem: this.#problem,
      }),
    )
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
    this.#guest?.[Symbol.dispose]()
    await this.#work
  }

  async #workAfter(last: Promise<void>): Promise<void> {
    await last
    this.#isQueued = false
    try {
      await this.#converge()
      if (this.#problem?.code === 'INTERNAL') this.#problem = undefined
    } catch (error) {
      this.#deps.log.error({ machine: this.#id, err: error }, 'a machine cannot be worked on')
      this.#problem = internalProblem
      this.#sleep(TRY_AGAIN_MS)
    }
    this.#isAskedAgain = false
    this.#changed()
  }

  async #converge(): Promise<void> {
    while (!this.#closed) {
      const step = this.#nextStep()
      if (step.do === 'Wait') return this.#sleep(step.forMs)
      const againInMs = await this.#perform(step)
      if (againInMs !== undefined) return this.#sleep(againInMs)
      this.#changed()
    }
    return undefined
  }

  #nextStep(): Step | { readonly do: 'Reap' } {
    if (this.#guest?.hasExited) return { do: 'Reap' }
    if (this.#guest?.state === 'running') this.#noteRunning()
    const { clock, isHeld } = this.#deps
    return decide({
      record: this.#record.current,
      process: this.#guest ? this.#guest.state : 'None',
      held: isHeld(),
      shutdown: this.#shutdown,
      claimed: this.#claims.areHeld,
      surplus: this.#claims.haveSurplus,
      nowMs: clock.monotonicMs(),
      now: clock.now(),
    })
  }

  /** Returns after how many milliseconds to go on; undefined: at once. */
  async #perform(step: Exclude<Step, { do: 'Wait' }> | { readonly do: 'Reap' }): Promise<number | undefined> {
    switch (step.do) {
      case 'Reap':
        return this.#reap()
      case 'Start':
        return this.#unlessRefused(() => this.#start())
      case 'Claim':
        return this.#unlessRefused(() => this.#claims.claim(this.#owner, true))
      case 'Release':
        await this.#claims.releaseSurplus()
        return undefined
      case 'PressPowerButton':
        return this.#pressPowerButton()
      case 'CancelShutdown':
        this.#shutdown = undefined
        return undefined
      case 'End':
        return this.#end(step.how)
      case 'Bury':
        return this.#unlessRefused(() => this.#bury())
    }
  }

  async #start(): Promise<void> {
    const { log, launcher, hypervisor, isHeld } = this.#deps
    this.#starting = true
    this.#changed()
    try {
      const { q35 } = await hypervisor.qemu()
      await using pad = await launcher.prepare(this.#record.current)
      const disks = await this.#claims.claim(this.#owner)
      await this.#record.update((record) => withLaunch(record, { bootId: hypervisor.bootId, q35 }))
      const record = this.#record.current
      // Another order may have come meanwhile; what it wants is decided anew.
      if (this.#closed || isHeld() || record.desired.power !== 'Running' || !this.#claims.areHeld) return
      this.#life = { startedUnder: record.desired.decision.id, pressed: false, seenRunning: false }
      const guest = await launcher.launch({ record, disks, pad, onChange: () => this.poke() })
      this.#guest = guest
      await guest.connect(CONNECT_MS)
      log.info({ machine: this.#id, name: record.desired.name, pid: guest.process.pid, state: guest.state }, 'launched')
    } finally {
      this.#starting = false
    }
  }

  async #pressPowerButton(): Promise<undefined> {
    const nowMs = this.#deps.clock.monotonicMs()
    this.#life = { ...this.#life, pressed: true }
    this.#shutdown = { beganMs: this.#shutdown?.beganMs ?? nowMs, pressedMs: nowMs }
    this.#changed()
    try {
      await this.#guest?.pressPowerButton()
    } catch (error) {
      if (!(error instanceof QmpError)) throw error
      // The grace period goes on, and ends it if nothing else does.
      this.#deps.log.warn({ machine: this.#id, code: error.code, err: error }, 'the power button cannot be pressed')
    }
  }

  async #end(how: 'Quit' | 'Kill'): Promise<number | undefined> {
    if (!this.#guest || (await this.#guest.end(how))) return undefined
    const message = 'the process of the machine cannot be ended; the host may be waiting for storage'
    this.#problem = toProblem('StillRunning', message)
    return STILL_THERE_MS
  }

  /** Takes note of a process that is gone. */
  async #reap(): Promise<undefined> {
    const guest = this.#guest
    if (!guest) return
    const { clock, log, launcher } = this.#deps
    const { decision, name } = this.#record.current.desired
    const sight = { ...this.#life, state: guest.state, held: this.#deps.isHeld() }
    const how = howEnded(this.#record.current, sight)
    const failed = how === 'FailedStart' ? toProblem('StartFailed', await launcher.lastWords(guest)) : undefined
    const ranMs = launcher.ageMs(guest)
    await this.#record.update((record) => afterEnd(record, { how, decision, ranMs }, clock.now()))
    log.info({ machine: this.#id, name, pid: guest.process.pid, how, why: failed?.message }, 'ended')
    guest[Symbol.dispose]()
    this.#guest = undefined
    this.#shutdown = undefined
    this.#problem = failed
    this.#claims.recheck()
    // What kept it from starting may be a process of its own, which a killed agent was just starting.
    const stray = failed ? await launcher.find(this.#record.current, () => this.poke()) : undefined
    if (stray) await this.adopt(stray)
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
      this.#refusal = error
      this.#problem = { code: error.code, message: error.message }
      this.#deps.log.warn({ machine: this.#id, code: error.code, err: error }, 'refused')
      return TRY_AGAIN_MS
    }
  }

  #noteRunning(): void {
    if (this.#problem?.code === 'StartFailed') this.#problem = undefined
    this.#life = { ...this.#life, seenRunning: true }
    if (this.#record.current.launch?.confirmed === false) void this.#confirmLaunch()
  }

  async #confirmLaunch(): Promise<void> {
    try {
      await this.#record.update(withConfirmation)
    } catch (error) {
      // Without the note a crash would be taken for a failed start. The next look tries again.
      this.#deps.log.error({ machine: this.#id, err: error }, 'a start cannot be noted')
    }
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
    const { desired, ended, retryAt } = this.#record.current
    const { state } = this.observed()
    if (desired.power !== 'Running') return state === desired.power && !this.#claims.haveSurplus
    if (this.isOff) return ended !== undefined || retryAt !== undefined || this.#deps.isHeld()
    return state === 'Running' && this.#claims.areHeld
  }

  #changed(): void {
    this.#appearance.publish(this.observed())
  }

  #sleep(ms: number | undefined): void {
    this.#alarm.set(this.#closed ? undefined : ms)
  }
}
