/** Ends a call after a time without `touch`, or with the caller's signal. Dispose of it when the call is over. */
export class Deadline implements Disposable {
  readonly #controller = new AbortController()
  readonly #timer: NodeJS.Timeout
  readonly #outer: AbortSignal | undefined
  #expired = false
  /** Called when the time has run out. */
  onExpired: (() => void) | undefined

  constructor(ms: number, outer?: AbortSignal) {
    this.#timer = setTimeout(() => {
      this.#expired = true
      this.onExpired?.()
      this.#controller.abort()
    }, ms)
    this.#outer = outer
    // Not AbortSignal.any: a signal that lives as long as the process would collect one follower a call.
    outer?.addEventListener('abort', this.#follow)
    if (outer?.aborted === true) this.#follow()
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** The time ran out, rather than that the caller gave up. */
  get expired(): boolean {
    return this.#expired
  }

  touch(): void {
    this.#timer.refresh()
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#outer?.removeEventListener('abort', this.#follow)
  }

  readonly #follow = (): void => this.#controller.abort(this.#outer?.reason)
}
