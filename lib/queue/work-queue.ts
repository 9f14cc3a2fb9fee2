import type { Clock } from '../clock.ts'
import { QueueTimes, type QueueObserver } from './queue-times.ts'
import { Line } from './line.ts'
import { Places, type PlacesOptions } from './places.ts'
import { TimerHeap } from './timer-heap.ts'

/** Works on one key. Says when to look again, if at all; throws to be called again with back-off. */
export type Handler = (key: string) => Promise<{ readonly retryAfterMs?: number }>

export interface QueueOptions {
  readonly clock: Clock
  /** How many keys are worked on at once. */
  readonly workers: PlacesOptions
  /** Told of every handler that threw, for the log. Must not throw. */
  readonly onFailure: (key: string, error: unknown, retryInMs: number) => void
  /** A number from 0 up to 1, for jitter. */
  readonly random?: () => number
  readonly observer?: QueueObserver
}

export interface QueueStats {
  /** Keys that wait for a worker; those that wait for a time are not among them. */
  readonly depth: number
  readonly inFlight: number
  /** Keys whose last run threw. */
  readonly retries: number
  /** How long those in flight have been worked on until now, together. */
  readonly unfinishedMs: number
  /** Likewise, of the one that takes longest. */
  readonly longestMs: number
}

/** `Idle`: behind all that somebody waits for. */
export type Turn = 'Next' | 'Idle'

/** So many turns go to those who are next, before one goes to those who wait for an idle moment, so that it comes. */
const NEXT_BEFORE_IDLE = 15
const FIRST_BACKOFF_MS = 200
const MAX_BACKOFF_MS = 300_000
// Timers take 31 bits of milliseconds.
const MAX_SLEEP_MS = 3_600_000

/**
 * Keys that need a look, each at most once, however often it is added. No key is worked on twice at the same time: one
 * that is added while it is worked on runs again afterwards.
 */
export class WorkQueue {
  readonly #options: QueueOptions
  /** In the order of their turns. */
  readonly #ready = new Line()
  readonly #idle = new Line()
  /** Turns since one of the idle ones had its. */
  #turns = 0
  readonly #inFlight = new Map<string, Promise<void>>()
  /** Added while they were worked on. */
  readonly #again = new Map<string, Turn>()
  readonly #later = new TimerHeap()
  readonly #failures = new Map<string, number>()
  readonly #times: QueueTimes
  readonly #places: Places
  #run: Run | undefined
  #pumping = false

  constructor(options: QueueOptions) {
    this.#options = options
    this.#times = new QueueTimes(options.clock, options.observer)
    this.#places = new Places(options.workers)
  }

  get stats(): QueueStats {
    const ages = this.#times.agesMs
    return {
      depth: this.#ready.size + this.#idle.size + this.#again.size,
      inFlight: this.#inFlight.size,
      retries: this.#failures.size,
      unfinishedMs: ages.reduce((sum, age) => sum + age, 0),
      longestMs: Math.max(0, ...ages),
    }
  }

  /** Has the key looked at as soon as a worker is free. A later time that it had is dropped: the look will set it anew. */
  add(key: string, turn: Turn = 'Next'): void {
    this.#later.delete(key)
    this.#times.waits(key)
    if (this.#inFlight.has(key)) this.#again.set(key, turn === 'Next' ? turn : (this.#again.get(key) ?? turn))
    else if (turn === 'Next') {
      this.#idle.delete(key)
      this.#ready.add(key)
    } else if (!this.#ready.has(key)) this.#idle.add(key)
    this.#schedulePump()
  }

  /** Has the key looked at after a time, unless it is looked at sooner anyway. */
  addAfter(key: string, ms: number): void {
    if (this.#ready.has(key) || this.#idle.has(key) || this.#again.has(key)) return
    const isFirst = this.#later.setEarlier(key, this.#options.clock.monotonicMs() + ms)
    if (isFirst) this.#run?.alarm.ring()
  }

  /** Works until the signal is aborted, and returns when the handlers under way have finished. One run at a time. */
  async run(handler: Handler, signal: AbortSignal): Promise<void> {
    if (this.#run) throw new Error('the queue is being worked on already')
    const run: Run = { handler, signal, alarm: new Alarm(this.#options.clock, signal), wakesMs: Infinity }
    this.#run = run
    this.#schedulePump()
    while (!signal.aborted) {
      run.wakesMs = Math.min(this.#later.next() ?? Infinity, this.#placeMs)
      await run.alarm.wait(run.wakesMs)
      this.#addDue()
      this.#schedulePump()
    }
    await Promise.all(this.#inFlight.values())
    this.#run = undefined
  }

  #addDue(): void {
    const now = this.#options.clock.monotonicMs()
    for (let key = this.#later.take(now); key !== undefined; key = this.#later.take(now)) this.add(key)
  }

  /** Starts work in another turn of the event loop: thousands of quick handlers must not keep out everything else. */
  #schedulePump(): void {
    if (this.#pumping || !this.#run || this.#ready.size + this.#idle.size === 0) return
    this.#pumping = true
    setImmediate(() => {
      this.#pumping = false
      this.#pump()
    })
  }

  #pump(): void {
    const run = this.#run
    if (!run || run.signal.aborted) return
    const now = this.#options.clock.monotonicMs()
    while (this.#places.isFree(now)) {
      const key = this.#takeNext()
      if (key === undefined) return
      this.#places.take(key, now)
      this.#times.starts(key)
      this.#inFlight.set(key, this.#work(key, run.handler))
    }
    if (this.#placeMs < run.wakesMs) run.alarm.ring()
  }

  /** When somebody who waits has a place, unless one gets free before. */
  get #placeMs(): number {
    return this.#ready.size + this.#idle.size === 0 ? Infinity : this.#places.nextMs
  }

  #takeNext(): string | undefined {
    const isIdlesTurn = this.#ready.size === 0 || this.#turns >= NEXT_BEFORE_IDLE
    const from = isIdlesTurn && this.#idle.size > 0 ? this.#idle : this.#ready
    this.#turns = from === this.#idle ? 0 : this.#turns + 1
    return from.take()
  }

  async #work(key: string, handler: Handler): Promise<void> {
    const retryInMs = await handler(key).then(
      ({ retryAfterMs }) => {
        this.#failures.delete(key)
        return retryAfterMs
      },
      (error: unknown) => this.#fail(key, error),
    )
    this.#times.ends(key)
    this.#inFlight.delete(key)
    this.#places.leave(key)
    const turn = this.#again.get(key)
    if (turn !== undefined) {
      this.#again.delete(key)
      this.add(key, turn)
    } else if (retryInMs !== undefined) this.addAfter(key, retryInMs)
    this.#schedulePump()
  }

  #fail(key: string, error: unknown): number {
    const { onFailure, observer, random = Math.random } = this.#options
    observer?.retried()
    const failures = this.#failures.get(key) ?? 0
    this.#failures.set(key, failures + 1)
    const retryInMs = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** failures) * (0.5 + random() / 2)
    onFailure(key, error, retryInMs)
    return retryInMs
  }
}

interface Run {
  readonly handler: Handler
  readonly signal: AbortSignal
  readonly alarm: Alarm
  /** When the alarm rings, if nothing else rings it. */
  wakesMs: number
}

/** One sleep that can be ended early. */
class Alarm {
  readonly #clock: Clock
  readonly #signal: AbortSignal
  #sleep = new AbortController()

  constructor(clock: Clock, signal: AbortSignal) {
    this.#clock = clock
    this.#signal = signal
    signal.addEventListener('abort', () => this.ring(), { once: true })
  }

  /** Returns at `dueMs`, or when it rings, or after a while. */
  async wait(dueMs = Infinity): Promise<void> {
    const ms = Math.min(MAX_SLEEP_MS, Math.max(0, Math.ceil(dueMs - this.#clock.monotonicMs())))
    if (!this.#signal.aborted) await this.#clock.sleep(ms, this.#sleep.signal).catch(() => undefined) // It rang.
    this.#sleep = new AbortController()
  }

  ring(): void {
    this.#sleep.abort()
  }
}
