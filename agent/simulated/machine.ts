import type { Clock } from '../../lib/clock.ts'
import type { DesiredMachine, MachineState, ObservedMachine } from '../contract.ts'
import { accept } from '../machine/order.ts'
import { isRestartDue, withCarriedOut, type MachineRecord } from '../machine/record.ts'

export interface SimulatedMachineDeps {
  readonly clock: Clock
  /** How long it takes from the order until it runs. */
  readonly startMs: number
  readonly nextRevision: () => number
  readonly onChange: (machine: SimulatedMachine) => void
}

/** A machine that is only told of. It takes orders as the real one does: by the same rules, in the same sequence. */
export class SimulatedMachine {
  readonly #deps: SimulatedMachineDeps
  #record: MachineRecord | undefined
  #state: MachineState = 'Stopped'
  #revision = 0
  #starting: Promise<void> | undefined

  constructor(deps: SimulatedMachineDeps) {
    this.#deps = deps
  }

  /** What an order leads to. Throws `STALE_EPOCH` and `BAD_REQUEST`. */
  accept(desired: DesiredMachine): MachineRecord {
    return accept(this.#record, desired, this.#state === 'Stopped' || this.#state === 'Absent')
  }

  /** Does as it is told; a start takes its time. */
  obey(record: MachineRecord): void {
    const isRestart = isRestartDue(record) && this.#state !== 'Stopped'
    const isNews = record !== this.#record
    this.#record = withCarriedOut(record)
    const { power } = record.desired
    if (power !== 'Running') this.#become(power, isNews)
    else if (isRestart || (this.#state !== 'Running' && this.#state !== 'Paused')) this.#start(isNews)
    else this.#become(this.#awake(), isNews)
  }

  /** As it is once a start is over, or `waitMs` are. */
  async settled(waitMs: number): Promise<ObservedMachine> {
    if (this.#starting && waitMs > 0) await Promise.race([this.#starting, this.#deps.clock.sleep(waitMs)])
    return this.observed()
  }

  observed(): ObservedMachine {
    const desired = this.#record?.desired
    if (!desired) throw new Error('a machine is looked at before its first order')
    const { id, name, decision, power, macs, disks } = desired
    return {
      id,
      name,
      decision: { id: decision.id, epoch: decision.epoch },
      power,
      state: this.#state,
      pendingRestart: [],
      restarts: 0,
      macs,
      disks,
      revision: this.#revision,
    }
  }

  #start(isNews: boolean): void {
    this.#become('Starting', isNews)
    this.#starting ??= this.#run()
  }

  async #run(): Promise<void> {
    await this.#deps.clock.sleep(this.#deps.startMs)
    this.#starting = undefined
    if (this.#record?.desired.power === 'Running') this.#become(this.#awake())
  }

  #awake(): MachineState {
    return this.#record?.desired.paused === true ? 'Paused' : 'Running'
  }

  #become(state: MachineState, isNews = false): void {
    if (state === this.#state && !isNews && this.#revision > 0) return
    this.#state = state
    this.#revision = this.#deps.nextRevision()
    this.#deps.onChange(this)
  }
}
