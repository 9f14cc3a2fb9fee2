import { AgentError } from './errors.ts'

/** When an order for a machine was sent, as whoever leads in that term counts. */
export interface Sent {
  readonly term: number
  readonly sequence: number
}

/**
 * Refuses an order that was sent before one that came already: a connection that its sender gave up may still deliver
 * what is in it. Only orders of one decision depend on this, for a decision that is older is refused anyway; and what an
 * earlier process of the agent was sent ended with that.
 */
export class Sequences {
  readonly #last = new Map<string, Sent>()
  readonly #limit: number

  constructor(limit = 10_000) {
    this.#limit = limit
  }

  /** Throws `STALE_ORDER`. */
  admit(machineId: string, sent: Sent): void {
    const last = this.#last.get(machineId)
    if (last?.term === sent.term && sent.sequence < last.sequence) {
      throw new AgentError('STALE_ORDER', 'this order was sent before one that the host has taken already')
    }
    // The latest last, for the first ones are forgotten.
    this.#last.delete(machineId)
    this.#last.set(machineId, sent)
    const [oldest] = this.#last.keys()
    if (this.#last.size > this.#limit && oldest !== undefined) this.#last.delete(oldest)
  }
}
