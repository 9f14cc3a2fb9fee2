import type { Clock } from '../clock.ts'
import type { Call, Kube, Reply } from './client.ts'

/** Time as the API server has it: what several processes agree on, whatever their own clocks say. */
export interface ServerClock {
  /** Throws until the API server has answered once. To a second. */
  readonly now: () => Date
}

/** Calls as `kube` does, and takes note of the time in every answer. Between two it goes on by a clock that only grows. */
export function withServerClock(
  kube: Pick<Kube, 'send' | 'stream'>,
  clock: Pick<Clock, 'monotonicMs'>,
): Pick<Kube, 'send' | 'stream'> & { readonly clock: ServerClock } {
  let offsetMs: number | undefined
  return {
    clock: {
      now() {
        if (offsetMs === undefined) throw new Error('the API server has not told its time yet')
        return new Date(offsetMs + clock.monotonicMs())
      },
    },
    stream: (call, signal) => kube.stream(call, signal),
    async send<T>(call: Call): Promise<Reply<T>> {
      const askedAt = clock.monotonicMs()
      const reply = await kube.send<T>(call)
      // As of the question: the second that is cut off and the way of the answer make up for each other.
      if (reply.date) offsetMs = reply.date.getTime() - askedAt
      return reply
    },
  }
}
