import { createServer, connect, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FaultProxy, Passing, Verdict } from '../../lib/testing/fault-proxy.ts'

/** What a network, a balancer or a server can do to somebody who follows the API. */
export interface ApiFault {
  readonly name: string
  /** Begins it. What is returned ends it. */
  readonly begin: (way: Way) => (() => void) | undefined
}

/** How the API server is reached while a fault is played. */
export interface Way {
  readonly proxy: FaultProxy
  readonly relay: Relay
}

type Lines = (lines: AsyncIterable<string>) => AsyncIterable<string>

const AGAIN_MS = 400

/** Every request goes this way. */
function judged(verdict: (passing: Passing) => Verdict): ApiFault['begin'] {
  return ({ proxy }) => {
    proxy.judge = verdict
    // What is under way meets it too.
    proxy.cutAll()
    return undefined
  }
}

/** The lines of watches come out otherwise. */
function lines(change: Lines): ApiFault['begin'] {
  return judged(({ isStream }) => (isStream ? { type: 'pass', lines: change } : { type: 'pass' }))
}

function again(what: (way: Way) => void): ApiFault['begin'] {
  return (way) => {
    const timer = setInterval(() => what(way), AGAIN_MS)
    return () => clearInterval(timer)
  }
}

function answers(status: number, headers: Record<string, string> = {}): Verdict {
  return { type: 'answer', status, headers }
}

const expired = JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } })

export const apiFaults: readonly ApiFault[] = [
  { name: 'every connection breaks again and again', begin: again(({ proxy }) => proxy.cutAll()) },
  {
    name: 'no request is answered and streams fall silent',
    begin: ({ proxy }) => {
      proxy.judge = () => ({ type: 'stall' })
      proxy.stallStreams()
      return undefined
    },
  },
  { name: 'streams fall silent and stay open', begin: again(({ proxy }) => proxy.stallStreams()) },
  {
    name: 'connections are half open: nothing gets through any more, and nobody is told',
    begin: ({ relay }) => {
      relay.swallow()
      return () => relay.mend()
    },
  },
  { name: '410 for every watch', begin: judged(({ isStream }) => (isStream ? answers(410) : { type: 'pass' })) },
  { name: '410 in the middle of every watch', begin: lines(upTo(3, `${expired}\n`)) },
  { name: '429 with Retry-After', begin: judged(() => answers(429, { 'retry-after': '1' })) },
  { name: '500 for every request', begin: judged(() => answers(500)) },
  {
    name: '503 for every other request',
    begin: judged(({ number }) => (number % 2 ? answers(503) : { type: 'pass' })),
  },
  { name: 'every answer is slow', begin: judged(() => ({ type: 'pass', delayMs: 700 })) },
  { name: 'lines trickle in, in pieces', begin: lines(trickle) },
  { name: 'every event comes twice', begin: lines(twice) },
  { name: 'events change places', begin: lines(swapped) },
  {
    name: 'every third event is lost',
    begin: judged((passing) => ({ type: 'pass', ...(passing.isStream && { lines: lossy(passing) }) })),
  },
  { name: 'lines that are no JSON', begin: lines(upTo(2, '{"type":"MODI\n')) },
  { name: 'a stream ends in the middle of a line', begin: lines(upTo(2, '{"type":"ADDED","obj')) },
  { name: 'lists are answered from the past, as by a replica that lags', begin: ({ proxy }) => replay(proxy) },
]

/** That many lines, then these bytes and the end. */
function upTo(count: number, last: string): Lines {
  return async function* cut(source) {
    let left = count
    for await (const line of source) {
      if (left-- === 0) break
      yield line
    }
    yield last
  }
}

async function* trickle(source: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const line of source) {
    const middle = Math.floor(line.length / 2)
    yield line.slice(0, middle)
    await sleep(30)
    yield line.slice(middle)
  }
}

async function* twice(source: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const line of source) {
    yield line
    yield line
  }
}

/** Each event after the one that follows it, where one follows soon. */
async function* swapped(source: AsyncIterable<string>): AsyncGenerator<string> {
  let kept: string | undefined
  for await (const line of source) {
    if (line.includes('"BOOKMARK"')) {
      if (kept !== undefined) yield kept
      kept = undefined
      yield line
    } else if (kept === undefined) kept = line
    else {
      yield line
      yield kept
      kept = undefined
    }
  }
  if (kept !== undefined) yield kept
}

/** A list is whole, or the server would not say that it is over. */
function lossy({ path }: Passing): Lines {
  return async function* lose(source) {
    let count = 0
    let isInList = path.includes('sendInitialEvents=true')
    for await (const line of source) {
      if (isInList || line.includes('"BOOKMARK"') || ++count % 3 !== 0) yield line
      if (line.includes('initial-events-end')) isInList = false
    }
  }
}

/** Remembers the first list that streams through, and answers later ones with it. */
function replay(proxy: FaultProxy): undefined {
  const past: string[] = []
  let isWhole = false
  const remember: Lines = async function* remember(source) {
    for await (const line of source) {
      if (!isWhole) past.push(line)
      isWhole ||= line.includes('initial-events-end')
      yield line
    }
  }
  const repeat: Lines = async function* repeat() {
    yield* past
  }
  proxy.judge = ({ path }) => {
    if (!path.includes('sendInitialEvents=true')) return { type: 'pass' }
    return { type: 'pass', lines: isWhole ? repeat : remember }
  }
  proxy.cutAll()
  return undefined
}

/** A port that leads to another one of this machine, until it swallows everything. */
export class Relay implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #swallows = false

  private constructor(to: number) {
    this.#server = createServer((client) => {
      const upstream = connect(to, '127.0.0.1')
      for (const [socket, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        this.#sockets.add(socket)
        socket.on('data', (chunk: Buffer) => {
          if (!this.#swallows) other.write(chunk)
        })
        socket.on('error', () => undefined) // Those are the point.
        socket.on('close', () => {
          this.#sockets.delete(socket)
          if (!this.#swallows) other.destroy()
        })
      }
    })
  }

  static async start(to: number): Promise<Relay> {
    const relay = new Relay(to)
    relay.#server.listen(0, '127.0.0.1')
    await once(relay.#server, 'listening')
    return relay
  }

  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address ? address.port : 0
  }

  /** From now on nothing gets through, in either direction, and connections stay open. */
  swallow(): void {
    this.#swallows = true
  }

  /** New bytes get through. What was swallowed is lost, so that older connections make no sense any more. */
  mend(): void {
    this.#swallows = false
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }
}
