import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { isKubeError } from './errors.ts'
import type { Hold, LeaseRecord, LeaseStore } from './lease-store.ts'

export interface LeaseTiming {
  /** How long a leader that is silent is waited for. */
  readonly durationMs: number
  /** A leader that could not renew for so long gives up. Clocks may differ by a percent, so it is well below the duration. */
  readonly renewDeadlineMs: number
  /** Between two renewals, and between two looks of those who wait. */
  readonly retryMs: number
}

/** What one election is about. */
export interface Candidacy {
  readonly store: LeaseStore
  /** No other candidate ever has this one. */
  readonly identity: string
  readonly clock: Clock
  readonly log: Log
  readonly signal: AbortSignal
  readonly timing: LeaseTiming
  /** `retryMs`, each time a little different. */
  readonly retryInMs: () => number
}

/** Leading, from the taking of the lease until it is lost or given back. */
export interface Leadership {
  /** Greater than that of every leader before. */
  readonly term: number
  /** Aborted when the work has to end: the lease is lost, or the process is to stop. */
  readonly signal: AbortSignal
  /** How much of the lease is left, in ms, counted from before it was asked for. 0 for ever once it is lost. */
  leftMs(): number
  /** Somebody knows of a greater term, as after a restore of etcd. Ours is raised above it, if we really lead. */
  outbid(term: number): void
}

/** Both clocks may be wrong by a percent, in opposite directions. */
const SURE = 0.98

interface Start {
  readonly record: LeaseRecord
  /** On the monotonic clock, before the lease was asked for. */
  readonly askedAtMs: number
  readonly onTerm: (term: number) => void
}

/** Keeps the lease for as long as the work lasts. */
export class Reign implements Leadership {
  readonly #candidacy: Candidacy
  readonly #onTerm: (term: number) => void
  readonly #work = new AbortController()
  /** Aborted when nothing is left to be renewed. */
  readonly #rest = new AbortController()
  #record: LeaseRecord
  #askedAtMs: number
  #term: number
  #wantedTerm: number
  #isLost = false
  #pause: AbortController | undefined
  /** The next renewal comes without a pause. */
  #isUrgent = false

  constructor(candidacy: Candidacy, { record, askedAtMs, onTerm }: Start) {
    this.#candidacy = candidacy
    this.#onTerm = onTerm
    this.#record = record
    this.#askedAtMs = askedAtMs
    this.#term = record.term
    this.#wantedTerm = record.term
  }

  get term(): number {
    return this.#term
  }

  get signal(): AbortSignal {
    return this.#work.signal
  }

  leftMs(): number {
    if (this.#isLost) return 0
    const { clock, timing } = this.#candidacy
    return Math.max(0, this.#askedAtMs + timing.durationMs * SURE - clock.monotonicMs())
  }

  outbid(term: number): void {
    if (this.leftMs() <= 0 || term < this.#wantedTerm) return
    this.#candidacy.log.warn({ term: this.#term, found: term }, 'a greater term is known than ours, which is raised')
    this.#wantedTerm = term + 1
    this.#hurry()
  }

  /** Has the work done, renews meanwhile, and gives the lease back. Throws what the work throws. */
  async run(lead: (leadership: Leadership) => Promise<void>): Promise<void> {
    const { log, signal } = this.#candidacy
    log.info({ term: this.#term }, 'this process leads')
    const end = () => this.#work.abort()
    signal.addEventListener('abort', end, { once: true })
    if (signal.aborted) end()
    const working = lead(this).finally(() => this.#endRenewals())
    const [outcome] = await Promise.allSettled([working, this.#keepRenewed(), this.#watch()])
    signal.removeEventListener('abort', end)
    await this.#release()
    if (outcome.status === 'rejected') throw outcome.reason
  }

  /** Gives up in time, however long an answer takes. */
  async #watch(): Promise<void> {
    const { clock, timing } = this.#candidacy
    while (!this.#rest.signal.aborted) {
      const leftMs = this.#askedAtMs + timing.renewDeadlineMs - clock.monotonicMs()
      if (leftMs <= 0) this.#lose('it could not be renewed')
      else await clock.sleep(leftMs, this.#rest.signal).catch(() => undefined) // Aborted: the loop sees it.
    }
  }

  /** A slow answer leaves no pause, or little would be left of what it brought. */
  async #keepRenewed(): Promise<void> {
    const { clock, retryInMs } = this.#candidacy
    for (let askedAtMs = this.#askedAtMs; this.#isToBeRenewed();) {
      const pauseMs = Math.max(0, askedAtMs + retryInMs() - clock.monotonicMs())
      if (!this.#isUrgent) await clock.sleep(pauseMs, this.#newPause()).catch(() => undefined) // In a hurry, or ended.
      this.#isUrgent = false
      askedAtMs = clock.monotonicMs()
      if (this.#isToBeRenewed()) await this.#renew(askedAtMs)
    }
  }

  // A method, because the compiler takes it that awaiting changes nothing.
  #isToBeRenewed(): boolean {
    return !this.#rest.signal.aborted
  }

  #newPause(): AbortSignal {
    this.#pause = new AbortController()
    return this.#pause.signal
  }

  #endRenewals(): void {
    this.#rest.abort()
    this.#pause?.abort()
  }

  #hurry(): void {
    this.#isUrgent = true
    this.#pause?.abort()
  }

  async #renew(askedAtMs: number): Promise<void> {
    const { log, store, timing } = this.#candidacy
    const untilLostMs = this.#askedAtMs + timing.renewDeadlineMs - askedAtMs
    if (untilLostMs <= 0) return
    try {
      const record = await store.replace(this.#record, this.#hold(), Math.min(untilLostMs, timing.renewDeadlineMs / 2))
      this.#take(record, askedAtMs)
    } catch (error) {
      if (isKubeError(error, 'NotFound')) this.#lose('it was deleted')
      else if (isKubeError(error, 'Conflict')) await this.#lookAgain()
      else log.warn({ err: error }, 'the lease could not be renewed')
    }
  }

  #hold(): Hold {
    const { clock, identity, timing } = this.#candidacy
    return { holder: identity, term: this.#wantedTerm, durationMs: timing.durationMs, at: clock.now() }
  }

  #take(record: LeaseRecord, askedAtMs: number): void {
    if (this.#isLost) return // Others may lead by now: what is over stays over.
    this.#record = record
    this.#askedAtMs = askedAtMs
    this.#term = record.term
    this.#onTerm(record.term)
  }

  /** Somebody wrote the lease: another candidate, or we ourselves by a renewal whose answer was lost. */
  async #lookAgain(): Promise<void> {
    const { identity, log, store } = this.#candidacy
    try {
      const found = await store.read()
      if (found?.holder !== identity) this.#lose('another process has it')
      else {
        this.#record = found
        this.#wantedTerm = Math.max(this.#wantedTerm, found.term)
        this.#hurry()
      }
    } catch (error) {
      log.warn({ err: error }, 'the lease cannot be looked at')
    }
  }

  #lose(why: string): void {
    if (this.#isLost) return
    this.#isLost = true
    this.#candidacy.log.warn({ term: this.#term, why }, 'the lease is lost; this process follows')
    this.#endRenewals()
    this.#work.abort()
  }

  async #release(): Promise<void> {
    if (this.#isLost) return
    const { clock, log, store, timing } = this.#candidacy
    const free: Hold = { term: this.#wantedTerm, durationMs: timing.durationMs, at: clock.now() }
    const { term } = this
    this.#isLost = true
    try {
      await store.replace(this.#record, free)
      log.info({ term }, 'the lease is released')
    } catch (error) {
      log.warn({ err: error }, 'the lease could not be released, and runs out by itself')
    }
  }
}
