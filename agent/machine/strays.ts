import type { Log } from '../../lib/log.ts'
import type { ObservedMachine } from '../contract.ts'
import type { ClaimedDisk, Storage } from '../storage/storage.ts'
import { Appearance } from './appearance.ts'
import { toProblem } from './observe.ts'
import { devicesOf, isAlive, type FoundProcess } from './processes.ts'

const LOOK_EVERY_MS = 5_000
/** Of a guest whose disks do not say by which decision it runs. */
export const NO_DECISION = { id: '00000000-0000-0000-0000-000000000000', epoch: 1 }
const MESSAGE =
  'the guest runs without an order, for its record on the host is lost; it is left as it is until there is one'

export interface StraysDeps {
  readonly storage: Pick<Storage, 'claimsOf'>
  readonly onChange: (machine: ObservedMachine) => void
  readonly log: Log
}

export interface KnownStray {
  readonly process: FoundProcess
  /** The decision by which it runs, as the claims beside its disks say; nil where they do not. */
  readonly decisionId: string
}

interface Stray {
  readonly process: FoundProcess
  readonly appearance: Appearance
  observed: ObservedMachine | undefined
}

/**
 * Guests that run without an order, because what the host knew of them is lost. They are told of, so that somebody can
 * adopt them, and left alone until an order speaks of them. What they have is read from their processes and from the
 * claims beside their disks.
 */
export class Strays implements Disposable {
  readonly #all = new Map<string, Stray>()
  readonly #deps: StraysDeps
  readonly #timer: NodeJS.Timeout | undefined
  #isLooking = false

  /** They are told of once they were looked at, which takes as long as the slowest storage: nobody waits for it. */
  constructor(processes: readonly FoundProcess[], deps: StraysDeps) {
    this.#deps = deps
    for (const process of processes) {
      const appearance = new Appearance(deps.onChange)
      this.#all.set(process.machineId, { process, appearance, observed: undefined })
    }
    if (processes.length === 0) return
    this.#timer = setInterval(() => void this.#look(), LOOK_EVERY_MS).unref()
    void this.#look()
  }

  list(): ObservedMachine[] {
    return [...this.#all.values()].flatMap(({ observed }) => observed ?? [])
  }

  has(machineId: string): boolean {
    return this.#all.has(machineId)
  }

  get(machineId: string): KnownStray | undefined {
    const stray = this.#all.get(machineId)
    return stray && { process: stray.process, decisionId: stray.observed?.decision.id ?? NO_DECISION.id }
  }

  /** A machine that has an order now is no stray any more. */
  forget(machineId: string): void {
    this.#all.delete(machineId)
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    for (const [id, stray] of this.#all) await this.#lookAt(id, stray)
    this.#isLooking = false
  }

  async #lookAt(id: string, stray: Stray): Promise<void> {
    try {
      const content = await describe(stray, this.#deps.storage)
      if (this.#all.get(id) !== stray) return // It has an order since.
      stray.observed = stray.appearance.stamp(content)
      stray.appearance.publish(stray.observed)
      if (content.state === 'Absent') this.#all.delete(id)
    } catch (err) {
      this.#deps.log.warn({ machine: id, err }, 'it cannot be told what a guest without an order has')
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}

async function describe(
  { process }: Stray,
  storage: Pick<Storage, 'claimsOf'>,
): Promise<Omit<ObservedMachine, 'revision'>> {
  const { machineId: id, name, pid } = process
  const claims = await storage.claimsOf(id)
  const { macs, root, cpus, memoryBytes } = await devicesOf(pid)
  const disks = rootFirst(claims, root)
  const isOn = isAlive(process)
  return {
    id,
    name,
    decision: disks[0]?.decision ?? NO_DECISION,
    power: isOn ? 'Running' : 'Absent',
    state: isOn ? 'Running' : 'Absent',
    pendingRestart: [],
    restarts: 0,
    ...(cpus !== undefined && { cpus }),
    ...(memoryBytes !== undefined && { memoryBytes }),
    ...(isOn && { pid, problem: toProblem('OrderMissing', MESSAGE) }),
    // Without its root disk nobody could have it.
    ...(disks.length > 0 && {
      macs: [...macs],
      disks: disks.map(({ id: disk, storage: on }) => ({ id: disk, storage: on })),
    }),
  }
}

/** Nothing when the disk that it boots from is on a storage that cannot be looked at now. */
function rootFirst(claims: readonly ClaimedDisk[], root: string | undefined): ClaimedDisk[] {
  const first = claims.find(({ id }) => root !== undefined && id.startsWith(root))
  return first ? [first, ...claims.filter((claim) => claim !== first)] : []
}
