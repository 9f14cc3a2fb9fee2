import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Kube } from './client.ts'
import { isKubeError } from './errors.ts'
import { Reign, type Candidacy, type Leadership, type LeaseTiming } from './leadership.ts'
import { leaseStore, type LeaseRecord, type LeaseRef } from './lease-store.ts'

export interface ElectorOptions {
  readonly kube: Pick<Kube, 'send'>
  readonly lease: LeaseRef
  /** No other candidate ever has this one. */
  readonly identity: string
  readonly clock: Clock
  readonly log: Log
  /** Ends the candidature. A leader ends its work first, and then releases the lease. */
  readonly signal: AbortSignal
  /** Whether a holder surely has ended, so that nobody need wait for its lease to run out. */
  readonly hasEnded?: (identity: string) => Promise<boolean>
  readonly timing?: LeaseTiming
  /** A number from 0 up to 1, for jitter. */
  readonly random?: () => number
}

const ANSWER_SHARE = 0.3
const defaults: LeaseTiming = { durationMs: 15_000, renewDeadlineMs: 10_000, retryMs: 3_000 }

/**
 * Stands for election until the signal is aborted, and has `lead` do the leader's work, one leadership at a time. It is
 * to return soon after the signal of its leadership was aborted; then this process is a candidate again. Whether a
 * lease has run out is told by when it was last seen to change on the own monotonic clock; times in it are never read.
 * Throws what `lead` throws.
 */
export async function runElector(
  options: ElectorOptions,
  lead: (leadership: Leadership) => Promise<void>,
): Promise<void> {
  const { kube, lease, hasEnded, timing = defaults, random = Math.random, ...rest } = options
  const { clock, signal, log } = rest
  // Short, so that a server that was away is soon found: one that takes longer for a Lease is as good as away.
  const store = leaseStore(kube, lease, timing.renewDeadlineMs * ANSWER_SHARE)
  const retryInMs = () => timing.retryMs * (0.8 + random() * 0.4)
  const candidacy: Candidacy = { ...rest, timing, store, retryInMs }
  const candidate = new Candidate(candidacy, hasEnded ?? (() => Promise.resolve(false)))
  let failures = 0
  const stand = async () => {
    try {
      const reign = await candidate.stand()
      failures = 0
      return reign
    } catch (error) {
      if (failures++ === 0 && !signal.aborted) log.warn({ err: error }, 'the lease cannot be looked at')
      return undefined
    }
  }
  while (!signal.aborted) {
    const reign = await stand()
    const nextMs = Math.min(retryInMs() / (failures > 0 ? 2 : 1), candidate.freeInMs)
    if (reign) await reign.run(lead)
    else await clock.sleep(nextMs, signal).catch(() => undefined) // Aborted: the loop sees it.
  }
}

/** A holder of another version may hold a lease for longer than we do, but not for so many times as long. */
const MAX_PATIENCE = 4

/** One who waits for the lease. */
class Candidate {
  readonly #candidacy: Candidacy
  readonly #hasEnded: (identity: string) => Promise<boolean>
  /** The state of the lease that was seen last, and since when. */
  #seen: { readonly mark: string; readonly sinceMs: number; readonly waitMs: number } | undefined
  /** The highest term that was ever seen, for a lease that was deleted and is made anew. */
  #highestTerm = 0

  constructor(candidacy: Candidacy, hasEnded: (identity: string) => Promise<boolean>) {
    this.#candidacy = candidacy
    this.#hasEnded = hasEnded
  }

  /** Takes the lease if it is free. */
  async stand(): Promise<Reign | undefined> {
    const { store, clock, signal } = this.#candidacy
    const found = await store.read()
    this.#highestTerm = Math.max(this.#highestTerm, found?.term ?? 0)
    if (!(await this.#isFree(found)) || signal.aborted) return undefined

    const askedAtMs = clock.monotonicMs()
    const record = await this.#take(found)
    return record && new Reign(this.#candidacy, { record, askedAtMs, onTerm: (term) => this.#note(term) })
  }

  /** When the lease runs out, if nothing is seen of its holder any more. */
  get freeInMs(): number {
    if (!this.#seen) return Infinity
    const leftMs = this.#seen.sinceMs + this.#seen.waitMs - this.#candidacy.clock.monotonicMs()
    return leftMs > 0 ? leftMs : Infinity // It was free, and somebody else was faster.
  }

  #note(term: number): void {
    this.#highestTerm = Math.max(this.#highestTerm, term)
  }

  async #isFree(found: LeaseRecord | undefined): Promise<boolean> {
    const nowMs = this.#candidacy.clock.monotonicMs()
    const mark = found ? `${found.uid} ${found.resourceVersion}` : ''
    if (found && !(await this.#isHeld(found))) {
      this.#seen = { mark, sinceMs: nowMs, waitMs: 0 }
    } else if (mark !== this.#seen?.mark) {
      // The holder of one that was deleted may have renewed it just before.
      this.#seen = { mark, sinceMs: nowMs, waitMs: found ? this.#patience(found) : (this.#seen?.waitMs ?? 0) }
    }
    return nowMs - this.#seen.sinceMs >= this.#seen.waitMs
  }

  /** As long as the holder says, within reason: whoever may write a lease does not stop the platform with a number. */
  #patience({ durationMs }: LeaseRecord): number {
    return Math.min(durationMs, MAX_PATIENCE * this.#candidacy.timing.durationMs)
  }

  /** Our own that is left over is held by nobody: we know that we do not lead. */
  async #isHeld({ holder }: LeaseRecord): Promise<boolean> {
    if (holder === undefined || holder === this.#candidacy.identity) return false
    return !(await this.#hasEnded(holder))
  }

  async #take(found: LeaseRecord | undefined): Promise<LeaseRecord | undefined> {
    const { store, identity, timing, clock } = this.#candidacy
    const { durationMs } = timing
    const term = this.#highestTerm + 1
    const hold = { holder: identity, term, durationMs, at: clock.now(), acquired: true } as const
    try {
      const record = await (found ? store.replace(found, hold) : store.create(hold))
      this.#note(term)
      return record
    } catch (error) {
      // Somebody else was faster.
      if (isKubeError(error, 'Conflict', 'AlreadyExists', 'NotFound')) return undefined
      throw error
    }
  }
}
