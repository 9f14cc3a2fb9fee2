import type { AgentEvent, HostAgent, ObservedHost } from '../../agent/contract.ts'
import { AgentError } from '../../agent/errors.ts'
import { fakeHost, observedHost } from './testing.ts'

type Line = { readonly event: AgentEvent } | { readonly error: Error } | 'end'

/** An agent whose events a test writes. */
export class ScriptedAgent {
  readonly agent: HostAgent & AsyncDisposable
  observed: ObservedHost
  /** Thrown to whoever asks what the host is, until it is taken away. */
  fault: Error | undefined
  /** Times that somebody asked what the host is, which every connection begins with. */
  tries = 0
  /** Connections that are open now. */
  open = 0
  isDisposed = false
  #lines: Line[] = []
  #wake = Promise.withResolvers<undefined>()

  constructor(name: string) {
    this.observed = observedHost(name)
    this.agent = {
      ...fakeHost(name).agent,
      host: async () => {
        this.tries++
        if (this.fault) throw this.fault
        return this.observed
      },
      events: (signal) => this.#events(signal),
      [Symbol.asyncDispose]: async () => {
        this.isDisposed = true
      },
    }
  }

  send(...events: AgentEvent[]): void {
    for (const event of events) this.#push({ event })
  }

  /** Cuts the connection, with an error or without. */
  cut(error?: Error): void {
    this.#push(error ? { error } : 'end')
  }

  /** As the client throws when nothing answers. */
  unplug(): void {
    this.fault = new AgentError('UNREACHABLE', 'no answer')
    this.cut(this.fault)
  }

  #push(line: Line): void {
    this.#lines.push(line)
    this.#wake.resolve(undefined)
  }

  #rest({ aborted }: AbortSignal): void {
    if (!aborted) this.#wake = Promise.withResolvers<undefined>()
  }

  async *#events(signal: AbortSignal): AsyncGenerator<AgentEvent> {
    this.#lines = []
    this.open++
    const abort = () => this.#wake.resolve(undefined)
    signal.addEventListener('abort', abort)
    try {
      while (!signal.aborted) {
        const line = this.#lines.shift()
        if (line === undefined) await this.#wake.promise
        else if (line === 'end') return
        else if ('error' in line) throw line.error
        else yield line.event
        if (this.#lines.length === 0) this.#rest(signal)
      }
    } finally {
      this.open--
      signal.removeEventListener('abort', abort)
    }
  }
}
