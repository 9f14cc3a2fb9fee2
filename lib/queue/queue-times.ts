import type { Clock } from '../clock.ts'

/** Is told of what happens in a queue, to measure it. Must not throw. */
export interface QueueObserver {
  /** A key waits that did not before. */
  readonly added: () => void
  /** A worker has taken a key that waited for so long. */
  readonly started: (waitedMs: number) => void
  /** A handler has returned or thrown. */
  readonly ended: (tookMs: number) => void
  /** A handler threw, and will be called again. */
  readonly retried: () => void
}

/** Since when keys wait, and are worked on. A key can do both: then it waits behind itself. */
export class QueueTimes {
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #observer: QueueObserver | undefined
  readonly #waiting = new Map<string, number>()
  readonly #working = new Map<string, number>()

  constructor(clock: Pick<Clock, 'monotonicMs'>, observer: QueueObserver | undefined) {
    this.#clock = clock
    this.#observer = observer
  }

  /** How long the keys that are worked on have been until now. */
  get agesMs(): number[] {
    const nowMs = this.#clock.monotonicMs()
    return [...this.#working.values()].map((sinceMs) => nowMs - sinceMs)
  }

  waits(key: string): void {
    if (this.#waiting.has(key)) return
    this.#waiting.set(key, this.#clock.monotonicMs())
    this.#observer?.added()
  }

  starts(key: string): void {
    const nowMs = this.#clock.monotonicMs()
    this.#observer?.started(nowMs - (this.#waiting.get(key) ?? nowMs))
    this.#waiting.delete(key)
    this.#working.set(key, nowMs)
  }

  ends(key: string): void {
    const nowMs = this.#clock.monotonicMs()
    this.#observer?.ended(nowMs - (this.#working.get(key) ?? nowMs))
    this.#working.delete(key)
  }
}
