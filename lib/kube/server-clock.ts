import type { Clock } from '../clock.ts'
import type { Call, Kube, Reply } from './client.ts'

/** Time as the API server has it: what several processes agree on, whatever their own clocks say. */
export interface ServerClock {
  /** Throws until the API server has answered once. Behind that server by up to a second and the way of an answer, never ahead. */
  readonly now: () => Date
}

interface Known {
  /** To be added to the local clock. At most what it is in truth. */
  readonly offsetMs: number
  readonly atMs: number
}

/** For so long an answer that was quick counts more than one that was slow. No clock goes astray meanwhile. */
const COUNTS_MS = 10_000
/** What a Date header leaves out. */
const CUT_OFF_MS = 1_000

/** Calls as `kube` does, and takes note of the time in every answer. Between two it goes on by a clock that only grows. */
export function withServerClock(
  kube: Pick<Kube, 'send' | 'stream'>,
  clock: Pick<Clock, 'monotonicMs'>,
): Pick<Kube, 'send' | 'stream'> & { readonly clock: ServerClock } {
  let known: Known | undefined
  return {
    clock: {
      now() {
        if (!known) throw new Error('the API server has not told its time yet')
        return new Date(known.offsetMs + clock.monotonicMs())
      },
    },
    stream: (call, signal) => kube.stream(call, signal),
    async send<T>(call: Call): Promise<Reply<T>> {
      const askedMs = clock.monotonicMs()
      const reply = await kube.send<T>(call)
      if (reply.date) known = nextOf(known, reply.date.getTime(), { askedMs, answeredMs: clock.monotonicMs() })
      return reply
    },
  }
}

/** When the server wrote the date is not known: it was asked before, perhaps repeatedly, and heard after. */
function nextOf(known: Known | undefined, dateMs: number, way: { askedMs: number; answeredMs: number }): Known {
  const next = { offsetMs: dateMs - way.answeredMs, atMs: way.answeredMs }
  if (!known || way.answeredMs - known.atMs >= COUNTS_MS) return next
  const isBelow = known.offsetMs < next.offsetMs
  const isAhead = known.offsetMs > dateMs + CUT_OFF_MS - way.askedMs // The server's clock was set back.
  return isBelow || isAhead ? next : known
}
