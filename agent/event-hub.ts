import type { AgentEvent, StateProblem } from './contract.ts'

const BEAT_MS = 5000

/** Passes what happens on this host on to everybody who listens. */
export interface EventHub {
  publish(event: AgentEvent): void
  /**
   * Events from now on, with a `Beat` every 5 s. Ends with `signal`. Of what a listener has yet to take only the
   * latest state of each machine and disk is kept, so that one that takes nothing needs no more memory than that.
   */
  listen(first: readonly AgentEvent[], signal: AbortSignal): AsyncIterable<AgentEvent>
}

/** With every `Beat` it tells what is wrong with the state of the agent then. */
export function newEventHub(stateProblem: () => StateProblem | undefined = () => undefined): EventHub {
  const listeners = new Set<Mailbox>()
  return {
    publish: (event) => {
      for (const mailbox of listeners) mailbox.put(event)
    },
    // Not a generator itself: it listens from the call on, not from the first read.
    listen: (first, signal) => {
      const mailbox = new Mailbox()
      listeners.add(mailbox)
      for (const event of first) mailbox.put(event)
      return read(mailbox, { signal, beat: () => toBeat(stateProblem()), done: () => listeners.delete(mailbox) })
    },
  }
}

function toBeat(stateProblem: StateProblem | undefined): AgentEvent {
  return { type: 'Beat', ...(stateProblem && { stateProblem }) }
}

interface Reading {
  readonly signal: AbortSignal
  readonly beat: () => AgentEvent
  readonly done: () => void
}

async function* read(mailbox: Mailbox, { signal, beat, done }: Reading): AsyncGenerator<AgentEvent> {
  const timer = setInterval(() => mailbox.put(beat()), BEAT_MS)
  const wake = () => mailbox.wake()
  signal.addEventListener('abort', wake)
  try {
    while (!signal.aborted) {
      const event = mailbox.take()
      if (event) yield event
      else await mailbox.arrival()
    }
  } finally {
    clearInterval(timer)
    signal.removeEventListener('abort', wake)
    done()
  }
}

/** What one listener has yet to take, each thing once. */
class Mailbox {
  readonly #events = new Map<string, AgentEvent>()
  #arrival = Promise.withResolvers<void>()

  put(event: AgentEvent): void {
    // What replaces an earlier event takes its place: every machine comes before Synced, also one that changes meanwhile.
    this.#events.set(keyOf(event), event)
    this.wake()
  }

  take(): AgentEvent | undefined {
    const [entry] = this.#events
    if (!entry) return undefined
    this.#events.delete(entry[0])
    return entry[1]
  }

  arrival(): Promise<void> {
    if (this.#events.size === 0) this.#arrival = Promise.withResolvers<void>()
    return this.#arrival.promise
  }

  wake(): void {
    this.#arrival.resolve()
  }
}

function keyOf(event: AgentEvent): string {
  switch (event.type) {
    case 'Machine':
      return `Machine ${event.machine.id}`
    case 'Disk':
      return `Disk ${event.disk.id}`
    case 'Image':
      return `Image ${event.path}`
    case 'Download':
      return `Download ${event.sha256}`
    case 'Synced':
    case 'Beat':
      return event.type
  }
}
