import type { Dispatcher } from 'undici'

/**
 * Sends only what was not given up before its turn came. Later a request with a body is not taken back: undici 8.12 then
 * closes its HTTP/2 stream in a way after which Node sends empty frames for it without end, and does nothing else.
 */
export function unlessGivenUp(dispatcher: Dispatcher, signal: AbortSignal): Dispatcher {
  return dispatcher.compose((dispatch) => (options, handler) => dispatch(options, new Unsent(handler, signal)))
}

type Handler = Dispatcher.DispatchHandler
type Arguments<M extends keyof Handler> = Parameters<NonNullable<Handler[M]>>

class Unsent implements Handler {
  readonly #handler: Handler
  readonly #signal: AbortSignal

  constructor(handler: Handler, signal: AbortSignal) {
    this.#handler = handler
    this.#signal = signal
  }

  /** There is a connection, and nothing is sent yet. What is thrown here ends the request. */
  onRequestStart(...[controller, context]: Arguments<'onRequestStart'>): void {
    this.#signal.throwIfAborted()
    this.#handler.onRequestStart?.(controller, context)
  }

  onResponseStart(...args: Arguments<'onResponseStart'>): void {
    this.#handler.onResponseStart?.(...args)
  }

  onResponseData(...args: Arguments<'onResponseData'>): void {
    this.#handler.onResponseData?.(...args)
  }

  onResponseEnd(...args: Arguments<'onResponseEnd'>): void {
    this.#handler.onResponseEnd?.(...args)
  }

  onResponseError(...args: Arguments<'onResponseError'>): void {
    this.#handler.onResponseError?.(...args)
  }
}
