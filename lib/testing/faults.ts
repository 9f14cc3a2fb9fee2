import { setTimeout as sleep } from 'node:timers/promises'
import type { FaultProxy, Passing, Verdict } from './fault-proxy.ts'
import * as lines from './line-faults.ts'
import { staleReads } from './stale-reads.ts'

type End = () => void | Promise<void>

/** What a network, a proxy in between or an API server does wrong, for as long as a test wants. */
export interface Fault {
  readonly name: string
  /** Begins. What it returns ends it, and then the proxy is as new. */
  readonly begin: (proxy: FaultProxy) => End | Promise<End>
}

/** An upkeep of the server that never comes to rest. */
const CUT_EVERY_MS = 200
const SLOW_MS = 700
const pass: Verdict = { type: 'pass' }

/** Every request goes this way; connections stay. */
function always(name: string, verdict: Verdict): Fault {
  return judged(name, () => verdict)
}

function judged(name: string, judge: (passing: Passing) => Verdict): Fault {
  return {
    name,
    begin(proxy) {
      proxy.judge = judge
      proxy.cutAll() // What was asked before would be spared.
      return () => proxy.reset()
    },
  }
}

function failing(status: number, headers: Record<string, string> = {}): Verdict {
  return { type: 'answer', status, headers }
}

/** A stream's lines are changed until the fault is over; then the rest of them goes through as it is. */
function changed(name: string, change: lines.LineFault): Fault {
  return {
    name,
    begin(proxy) {
      const over = new AbortController()
      proxy.judge = ({ isStream }) =>
        isStream ? { type: 'pass', lines: (from) => change(from, over.signal) } : { type: 'pass' }
      proxy.cutAll()
      return () => {
        over.abort()
        proxy.reset()
      }
    },
  }
}

const connectionFaults: readonly Fault[] = [
  {
    name: 'connections break again and again',
    begin(proxy) {
      const timer = setInterval(() => proxy.cutAll(), CUT_EVERY_MS)
      return () => clearInterval(timer)
    },
  },
  always('every request breaks its connection', { type: 'cut' }),
  {
    name: 'connections are refused',
    begin({ wire }) {
      wire.refuse()
      return () => wire.accept()
    },
  },
  always('requests are carried out and their answers lost', { type: 'cutAfter' }),
  always('requests are never answered', { type: 'stall' }),
  {
    name: 'streams fall silent',
    begin(proxy) {
      proxy.stallStreams()
      return () => undefined
    },
  },
  {
    name: 'a black hole, whose connections live on',
    begin({ wire }) {
      wire.freeze()
      return () => wire.thaw()
    },
  },
  {
    name: 'a black hole, whose connections are dead afterwards',
    begin({ wire }) {
      wire.freeze()
      return () => {
        wire.cut()
        wire.thaw()
      }
    },
  },
  {
    name: 'connections are half open: silent for ever, while new ones work',
    begin({ wire }) {
      wire.abandon()
      return () => undefined
    },
  },
]

const answerFaults: readonly Fault[] = [
  judged('watches are answered 410', ({ path }) =>
    /watch=true.*[?&]resourceVersion=/.test(path) ? failing(410) : pass,
  ),
  always('all is answered 429 with Retry-After', failing(429, { 'retry-after': '1' })),
  always('all is answered 500', failing(500)),
  always('all is answered 503', failing(503)),
  always('all is answered 503 with Retry-After', failing(503, { 'retry-after': '1' })),
  always('a page of HTML is the answer', { type: 'answer', status: 200, body: '<html>Please log in</html>\n' }),
  always('an empty answer', { type: 'answer', status: 200, body: '' }),
  always('answers are slow', { type: 'pass', delayMs: SLOW_MS }),
  {
    name: 'every other request is answered 503',
    begin(proxy) {
      proxy.judge = ({ number }) => (number % 2 === 0 ? failing(503) : pass)
      const timer = setInterval(() => proxy.cutAll(), CUT_EVERY_MS * 3)
      return () => {
        clearInterval(timer)
        proxy.reset()
      }
    },
  },
]

const lineFaults: readonly Fault[] = [
  changed('streams trickle', lines.trickle),
  changed('streams end with an ERROR event 410', lines.expire),
  changed('streams end with an ERROR event 500', lines.fail),
  changed('streams end at once', lines.end),
  changed('events come twice', lines.duplicate),
  changed('events come in another order', lines.reorder),
  changed('garbage comes between events', lines.garble),
  changed('streams break in the middle of a line', lines.truncate),
]

/** Some events never come, and later ones do: nothing but a list can find that. */
export const lostEvents: Fault = changed('events are lost', lines.drop)

/** Reads of these collections are answered as they were when the fault began. */
export function staleReadsOf(collections: readonly string[]): Fault {
  return { name: 'reads are stale', begin: (proxy) => staleReads(proxy, collections) }
}

/** All that mend by themselves, once they are over. */
export const faults: readonly Fault[] = [...connectionFaults, ...answerFaults, ...lineFaults]

/** For a while. */
export async function play(fault: Fault, proxy: FaultProxy, forMs: number): Promise<void> {
  const end = await fault.begin(proxy)
  await sleep(forMs)
  await end()
}
