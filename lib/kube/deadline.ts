/** Ends a call after a time without `touch`, or with the caller's signal. Dispose of it when the call is over. */
export class Deadline implements Disposable {
  /** Made once somebody asks for its signal: most questions to a webhook are answered without. */
  #controller: AbortController | undefined
  #reason: unknown
  #isOver = false
  #timer: NodeJS.Timeout
  readonly #outer: AbortSignal | undefined
  #expired = false
  /** Called when the time has run out. */
  onExpired: (() => void) | undefined

  constructor(ms: number, outer?: AbortSignal) {
    this.#timer = setTimeout(this.#expire, ms)
    this.#outer = outer
    // Not AbortSignal.any: a signal that lives as long as the process would collect one follower a call.
    outer?.addEventListener('abort', this.#follow)
    if (outer?.aborted === true) this.#follow()
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#isOver && !this.#controller.signal.aborted) this.#controller.abort(this.#reason)
    return this.#controller.signal
  }

  /** The time ran out, rather than that the caller gave up. */
  get expired(): boolean {
    return this.#expired
  }

  touch(): void {
    this.#timer.refresh()
  }

  /** Gives the rest of the call another time. */
  allow(ms: number): void {
    clearTimeout(this.#timer)
    if (!this.#expired) this.#timer = setTimeout(this.#expire, ms)
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#outer?.removeEventListener('abort', this.#follow)
  }

  readonly #expire = (): void => {
    this.#expired = true
    this.onExpired?.()
    this.#end(undefined)
  }

  readonly #follow = (): void => this.#end(this.#outer?.reason)

  #end(reason: unknown): void {
    this.#isOver = true
    this.#reason = reason
    this.#controller?.abort(reason)
  }
}
