/** How long an asker still waits, in milliseconds; undefined when for as long as it takes. */
export type TimeLeft = () => number | undefined

export function timeLeft(waitMs: number | undefined): TimeLeft {
  const startedMs = performance.now()
  return () => (waitMs === undefined ? undefined : Math.max(0, waitMs - (performance.now() - startedMs)))
}

/** Work that goes on when whoever asked for it stops waiting. */
export class Job<T> {
  readonly #work: Promise<T>
  #isRunning = true
  #isAwaitedLater = false

  /** `onEnd` runs before anybody gets the result, and is told whether somebody had to go without it. */
  constructor(work: Promise<T>, onEnd: (result: PromiseSettledResult<T>, isAwaitedLater: boolean) => void) {
    this.#work = work
    void this.#follow(onEnd)
  }

  async #follow(onEnd: (result: PromiseSettledResult<T>, isAwaitedLater: boolean) => void): Promise<void> {
    const [result] = await Promise.allSettled([this.#work])
    this.#isRunning = false
    onEnd(result, this.#isAwaitedLater)
  }

  get isRunning(): boolean {
    return this.#isRunning
  }

  /** What came of it; undefined when that takes longer than `waitMs`. Without that, however long it takes. */
  async result(waitMs: number | undefined): Promise<T | undefined> {
    if (waitMs === undefined) return this.#work
    const { promise: late, resolve } = Promise.withResolvers<undefined>()
    const timer = setTimeout(() => {
      if (this.#isRunning) this.#isAwaitedLater = true
      resolve(undefined)
    }, waitMs)
    try {
      return await Promise.race([this.#work, late])
    } finally {
      clearTimeout(timer)
    }
  }
}
