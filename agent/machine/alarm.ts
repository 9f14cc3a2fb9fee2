import type { Clock } from '../../lib/clock.ts'

/** Calls back once after a while. A new time takes the place of the last. */
export class Alarm {
  readonly #clock: Pick<Clock, 'sleep'>
  readonly #ring: () => void
  #current = new AbortController()

  constructor(clock: Pick<Clock, 'sleep'>, ring: () => void) {
    this.#clock = clock
    this.#ring = ring
  }

  /** Without a time: not at all. */
  set(ms: number | undefined): void {
    this.#current.abort()
    if (ms === undefined) return
    this.#current = new AbortController()
    void this.#wait(ms, this.#current.signal)
  }

  async #wait(ms: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#clock.sleep(ms, signal)
    } catch (error) {
      if (signal.aborted) return
      throw error
    }
    this.#ring()
  }
}
