import { isDeepStrictEqual } from 'node:util'
import type { Dispatcher } from 'undici'
import { systemClock, type Clock } from '../clock.ts'
import { openConnections, type Connections } from './connections.ts'
import { CredentialSource, type Credentials, type Environment } from './credentials.ts'
import { Deadline } from './deadline.ts'
import { KubeError, toKubeError } from './errors.ts'
import { splitLines } from './lines.ts'

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean>>
  readonly body?: unknown
  readonly contentType?:
    | 'application/json'
    | 'application/json-patch+json'
    | 'application/merge-patch+json'
    | 'application/apply-patch+yaml'
  /** Gives up; `send` then throws the signal's reason. */
  readonly signal?: AbortSignal
  /** For the whole call, repetitions included. Default 30,000. */
  readonly deadlineMs?: number
  /** Waits for no other call, however many there are. For few. */
  readonly isUrgent?: boolean
}

export interface Reply<T> {
  readonly status: number
  readonly body: T
  /** What admission wants the user to know. */
  readonly warnings: readonly string[]
  /** The server's clock when it answered, to the second; undefined where it does not say. */
  readonly date?: Date | undefined
}

export interface StreamCall {
  readonly path: string
  readonly query?: NonNullable<Call['query']>
  /** Longest time without a byte. Default 55,000. */
  readonly stallMs?: number
  /** Longest time until the answer begins. Default as `stallMs`. */
  readonly answerMs?: number
}

export interface KubeOptions {
  /** Where to look for a cluster when no kubeconfig is named, as `process.env` has it. */
  readonly environment?: Environment
  readonly clock?: Clock
  readonly observer?: RequestObserver
}

/** One request, from its sending until its answer began. Repetitions of a call are requests of their own. */
export interface RequestObservation {
  readonly method: Call['method'] | 'WATCH'
  /** Without the query. */
  readonly path: string
  readonly contentType: NonNullable<Call['contentType']>
  /** HTTP status; undefined without an answer. */
  readonly status: number | undefined
  readonly tookMs: number
}

/** Is told of every request. Must not throw. */
export type RequestObserver = (observation: RequestObservation) => void

const DEADLINE_MS = 30_000
const STALL_MS = 55_000
const MAX_ATTEMPTS = 5
/** No answer for so long says something about the connection, and not only that the caller was in a hurry. */
const TELLING_MS = 2_000
// Etcd takes no object over 1.5 MiB, and JSON at most doubles it.
const MAX_LINE_BYTES = 8 * 1024 * 1024

/** The API server, over HTTP/1 connections that are kept for the next calls. */
export class Kube implements AsyncDisposable {
  readonly #source: CredentialSource
  readonly #clock: Clock
  readonly #observer: RequestObserver | undefined
  #credentials: Credentials
  #connections: Connections
  // Replaced ones, until their last call is over.
  readonly #retired = new Set<Connections>()

  private constructor(source: CredentialSource, credentials: Credentials, { clock, observer }: KubeOptions) {
    this.#source = source
    this.#clock = clock ?? systemClock
    this.#observer = observer
    this.#credentials = credentials
    this.#connections = openConnections(credentials)
  }

  /**
   * Prepares to talk as `kubeconfig` says; without one, as kubectl or a pod would. Sends nothing yet.
   * Throws KubeError BadKubeconfig, whose message tells the user what to do.
   */
  static async connect(kubeconfig?: string, options: KubeOptions = {}): Promise<Kube> {
    const { environment = {}, clock = systemClock } = options
    const source = new CredentialSource(kubeconfig, environment, clock)
    return new Kube(source, await source.get(), options)
  }

  /** Throws KubeError. A server that is busy is asked again when it says, within the deadline. */
  async send<T>(call: Call): Promise<Reply<T>> {
    const { deadlineMs = DEADLINE_MS, signal } = call
    using deadline = new Deadline(deadlineMs, signal)
    try {
      const { statusCode, headers, body } = await this.#ask(call, deadline, call.isUrgent === true ? 'urgent' : 'calls')
      const text = await beforeAbort(body.text(), deadline.signal)
      if (statusCode >= 400) throw toKubeError(statusCode, parseOr(text, undefined))
      const isJson = String(headers['content-type']).includes('json')
      const content = isJson ? parse(text) : text
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the API server validated it on the way in
      return { status: statusCode, body: content as T, warnings: toWarnings(headers['warning']), date: toDate(headers) }
    } catch (error) {
      throw this.#explain(error, deadline, signal)
    }
  }

  /**
   * The lines of an answer that has no end, parsed as JSON. Returns when the server ends it. Throws KubeError: Timeout
   * when nothing came for `stallMs`, Unreachable when it was cut; and the signal's reason when that is aborted.
   */
  async *stream(call: StreamCall, signal: AbortSignal): AsyncGenerator<unknown, void, undefined> {
    const stallMs = call.stallMs ?? STALL_MS
    using deadline = new Deadline(call.answerMs ?? stallMs, signal)
    try {
      const { statusCode, body } = await this.#ask({ ...call, method: 'GET' }, deadline, 'streams')
      deadline.allow(stallMs)
      if (statusCode >= 400) throw toKubeError(statusCode, parseOr(await body.text(), undefined))
      for await (const line of splitLines(touching(body, deadline), MAX_LINE_BYTES)) {
        yield parse(line)
        deadline.touch()
      }
    } catch (error) {
      throw this.#explain(error, deadline, signal)
    }
  }

  /** Ends everything that is still open, streams included. */
  async close(): Promise<void> {
    await Promise.all([this.#connections, ...this.#retired].map((connections) => connections.destroy()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #ask(call: Call, deadline: Deadline, purpose: Purpose): Promise<Dispatcher.ResponseData> {
    let refused = false
    for (let attempt = 1; ; attempt++) {
      const connections = await this.#current()
      // Where one connection has gone silent the others have as well, and streams say nothing.
      const waitsMs = purpose === 'streams' ? 0 : (call.deadlineMs ?? DEADLINE_MS)
      deadline.onExpired = () => this.#renew(connections, waitsMs < TELLING_MS ? 'close' : 'hangUp')
      const ask = () => this.#askOnce(call, deadline, connections[purpose])
      const response = await this.#observed(call, purpose, ask)
      const waitMs = retryAfterMs(response)
      if (response.statusCode === 401 && !refused) {
        refused = true
        this.#source.invalidate()
      } else if (waitMs === undefined || waitMs >= (call.deadlineMs ?? DEADLINE_MS) || attempt >= MAX_ATTEMPTS) {
        return response
      } else {
        // Spread, or all who were refused together would be back together.
        await this.#clock.sleep(waitMs * (1 + Math.random() / 4), deadline.signal)
      }
      await response.body.dump()
    }
  }

  async #observed(
    { method, path, contentType = 'application/json' }: Call,
    purpose: Purpose,
    ask: () => Promise<Dispatcher.ResponseData>,
  ): Promise<Dispatcher.ResponseData> {
    const sentAtMs = this.#clock.monotonicMs()
    const observe = (status: number | undefined) => {
      const verb = purpose === 'streams' ? 'WATCH' : method
      const tookMs = this.#clock.monotonicMs() - sentAtMs
      this.#observer?.({ method: verb, path, contentType, status, tookMs })
    }
    try {
      const response = await ask()
      observe(response.statusCode)
      return response
    } catch (error) {
      observe(undefined)
      throw error
    }
  }

  async #askOnce(call: Call, { signal }: Deadline, dispatcher: Dispatcher): Promise<Dispatcher.ResponseData> {
    const { method, path, query, body, contentType = 'application/json' } = call
    const { origin, prefix, headers } = this.#credentials
    const asked = dispatcher.request({
      origin,
      method,
      path: prefix + path,
      ...(query && { query }),
      headers: { ...headers, accept: 'application/json', 'content-type': contentType },
      body: body === undefined ? null : JSON.stringify(body),
      // The deadline is the only judge.
      headersTimeout: 0,
      bodyTimeout: 0,
      reset: false, // Or each DELETE with a body would end its connection.
      signal,
    })
    return beforeAbort(asked, signal)
  }

  async #current(): Promise<Connections> {
    const credentials = await this.#source.get()
    if (credentials !== this.#credentials) {
      const { headers: _, ...before } = this.#credentials
      const { headers: __, ...after } = credentials
      this.#credentials = credentials
      if (!isDeepStrictEqual(before, after)) this.#renew(this.#connections)
    }
    return this.#connections
  }

  /** Later calls get new connections; those under way end on the old ones. Does nothing when somebody else did it. */
  #renew(old: Connections, end: 'close' | 'hangUp' = 'close'): void {
    if (this.#connections !== old) return
    this.#connections = openConnections(this.#credentials)
    this.#retired.add(old)
    const forget = () => this.#retired.delete(old)
    // It fails only when `close` was faster.
    old[end]().then(forget, forget)
  }

  #explain(error: unknown, deadline: Deadline, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted === true && !deadline.expired) return signal.reason
    if (deadline.expired) return new KubeError('Timeout', 'the API server did not answer in time', { cause: error })
    if (error instanceof KubeError) return error
    if (error instanceof RangeError) return new KubeError('Other', error.message)
    return new KubeError('Unreachable', `the API server cannot be reached: ${reasonOf(error)}`, { cause: error })
  }
}

type Purpose = 'calls' | 'urgent' | 'streams'

/** While undici opens a connection it does not look at the signal of the request that waits for it. */
async function beforeAbort<T>(asked: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  try {
    return await Promise.race([asked, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** Milliseconds to wait before asking again, where the server wants to be asked again. */
function retryAfterMs({ statusCode, headers }: Dispatcher.ResponseData): number | undefined {
  if (statusCode !== 429 && statusCode !== 503) return undefined
  const seconds = Number(headers['retry-after'] ?? (statusCode === 429 ? 1 : Number.NaN))
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined
}

async function* touching(chunks: AsyncIterable<Uint8Array>, deadline: Deadline): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    deadline.touch()
    yield chunk
  }
}

/** An answer that was cut, or is a proxy's. The parser's own error is left out: it quotes what may be a Secret. */
function parse(text: string): unknown {
  const parsed = parseOr(text, undefined)
  if (parsed === undefined) throw new KubeError('Unreachable', "the API server's answer is not JSON")
  return parsed
}

function parseOr(text: string, otherwise: unknown): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return otherwise
  }
}

// Each is a header, or all are in one: 299 - "one", 299 - "another \"quoted\" one".
function toWarnings(header: string | string[] | undefined): string[] {
  if (header === undefined) return []
  const quoted = String(header).matchAll(/299 \S+ "((?:\\.|[^"\\])*)"/g)
  return [...quoted].map(([, text = '']) => text.replace(/\\(.)/g, '$1'))
}

function toDate({ date }: Dispatcher.ResponseData['headers']): Date | undefined {
  const ms = typeof date === 'string' ? Date.parse(date) : Number.NaN
  return Number.isNaN(ms) ? undefined : new Date(ms)
}

/** System errors have a code that says more than their message, which is empty where several addresses failed. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}
