import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../clock.ts'

interface Sleeper {
  readonly dueMs: number
  readonly wake: () => void
}

/** A clock that stands still until a test moves it. */
export class FakeClock implements Clock {
  readonly #sleepers = new Set<Sleeper>()
  #ms = 0

  readonly now = (): Date => new Date(Date.UTC(2026, 0, 1) + this.#ms)
  readonly monotonicMs = (): number => this.#ms

  readonly sleep = async (ms: number, signal?: AbortSignal): Promise<void> => {
    signal?.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<undefined>()
    const sleeper: Sleeper = { dueMs: this.#ms + ms, wake: () => resolve(undefined) }
    const abort = () => reject(signal?.reason)
    this.#sleepers.add(sleeper)
    signal?.addEventListener('abort', abort)
    try {
      await promise
    } finally {
      this.#sleepers.delete(sleeper)
      signal?.removeEventListener('abort', abort)
    }
  }

  /** How many sleep now. */
  get sleeping(): number {
    return this.#sleepers.size
  }

  /** Time until the next one wakes; none sleeps: undefined. */
  get nextMs(): number | undefined {
    const due = [...this.#sleepers].map(({ dueMs }) => dueMs - this.#ms)
    return due.length === 0 ? undefined : Math.min(...due)
  }

  /** Moves on, and lets everything that this wakes run until it waits again. */
  async advance(ms: number): Promise<void> {
    const end = this.#ms + ms
    await settle()
    for (let next = this.#firstUntil(end); next; next = this.#firstUntil(end)) {
      this.#ms = Math.max(this.#ms, next.dueMs)
      this.#sleepers.delete(next)
      next.wake()
      await settle()
    }
    this.#ms = end
    await settle()
  }

  #firstUntil(end: number): Sleeper | undefined {
    const [first] = [...this.#sleepers].toSorted((a, b) => a.dueMs - b.dueMs)
    return first && first.dueMs <= end ? first : undefined
  }
}

/** Lets everything that needs no time run. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await nextTurn()
}

/** Numbers from 0 up to 1 that follow from a seed (mulberry32), so that a failing run can be repeated. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
