import { setTimeout as sleep } from 'node:timers/promises'

/** Time, passed in so that tests can move it. */
export interface Clock {
  readonly now: () => Date
  /** Milliseconds that only grow, whatever happens to the wall clock. */
  readonly monotonicMs: () => number
  /** Rejects with the signal's reason when it is aborted. */
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>
}

export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  sleep: async (ms, signal) => {
    await sleep(ms, undefined, signal ? { signal } : {})
  },
}
