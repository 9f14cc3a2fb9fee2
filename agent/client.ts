import { isIP } from 'node:net'
import { checkServerIdentity, createSecureContext, type SecureContext } from 'node:tls'
import { Pool } from 'undici'
import * as z from 'zod'
import {
  agentErrorBody,
  agentEvent,
  inspectedImage,
  observedDisk,
  observedHost,
  observedMachine,
  observedStorage,
  SEQUENCE_HEADER,
  staleTerm,
  TERM_HEADER,
  type AgentErrorCode,
  type AgentEvent,
  type HostAgent,
} from './contract.ts'
import { AgentError } from './errors.ts'

export interface AgentAddress {
  /** IP address or DNS name. */
  readonly address: string
  readonly port: number
  /** Name that the agent's certificate must be for, whatever its address is. */
  readonly hostName: string
  /** PEM texts. */
  readonly tls: { readonly ca: string; readonly certificate: string; readonly key: string }
  /** Of the caller's leadership, asked before every call. What it throws is thrown. Without it only guests can be stopped. */
  readonly term?: () => number
  /** Told of a greater term that the agent holds. What it throws is thrown instead of `STALE_TERM`. */
  readonly onStaleTerm?: (held: number) => void
  /** Told how every call ended, and after how long. The stream of events is no call. Must not throw. */
  readonly onCalled?: (outcome: CallOutcome, tookMs: number) => void
}

export type CallOutcome = 'OK' | AgentErrorCode

/** How an agent is reached, and as whom. */
interface Peer extends Pick<AgentAddress, 'term' | 'onStaleTerm' | 'onCalled'> {
  /** Throws for an address that is none. */
  readonly pool: () => Pool
  /** Has later calls use connections of their own: where one has gone silent, others that are kept have as well. */
  readonly abandon: (silent: Pool) => void
}

/** What an answer may take beyond the time that it was asked to wait. */
const MARGIN_MS = 10_000
const STALLED_MS = 15_000
const CONNECT_MS = 5000
/** The longest grace period, and some. */
const STOP_GUESTS_MS = 3_700_000
const MAX_LINE_LENGTH = 1024 * 1024

interface Call<T> {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE'
  readonly path: string
  readonly body?: unknown
  readonly waitMs?: number | undefined
  readonly timeoutMs?: number
  readonly reply: z.ZodType<T>
}

/**
 * The agent of one host. Connects when it is first asked. Throws `AgentError`, with `UNREACHABLE` when there is no
 * answer, or none from the host of this name, or the address is none; `events` throws that when nothing came for 15 s,
 * and when it is cut off.
 */
export function connectAgent({ address, port, hostName, tls, ...caller }: AgentAddress): HostAgent & AsyncDisposable {
  const pools = newPools({ address, port, hostName, tls })
  const peer: Peer = { pool: pools.pool, abandon: pools.abandon, ...caller }
  const call = <T>(request: Call<T>) => send(peer, request)
  const nothing = z.object({})
  const path = encodeURIComponent

  return {
    host: () => call({ method: 'GET', path: '/v1/host', reply: observedHost }),
    machines: () => call({ method: 'GET', path: '/v1/machines', reply: z.array(observedMachine) }),
    putMachine: (body, waitMs) =>
      call({ method: 'PUT', path: `/v1/machines/${path(body.id)}`, body, waitMs, reply: observedMachine }),
    putStorage: (body) =>
      call({ method: 'PUT', path: `/v1/storages/${path(body.name)}`, body, reply: observedStorage }),
    putDisk: (body, waitMs) =>
      call({ method: 'PUT', path: `/v1/disks/${path(body.id)}`, body, waitMs, reply: observedDisk }),
    deleteDisk: async (storage, id) => {
      await call({ method: 'DELETE', path: `/v1/storages/${path(storage)}/disks/${path(id)}`, reply: nothing })
    },
    inspectImage: (body, waitMs) =>
      call({ method: 'POST', path: '/v1/images/inspect', body, waitMs, reply: inspectedImage }),
    putImage: (body, waitMs) =>
      call({ method: 'PUT', path: `/v1/images/${path(body.sha256)}`, body, waitMs, reply: inspectedImage }),
    deleteImage: async (sha256) => {
      await call({ method: 'DELETE', path: `/v1/images/${path(sha256)}`, reply: nothing })
    },
    stopGuests: async () => {
      await call({ method: 'POST', path: '/v1/host/stop-guests', timeoutMs: STOP_GUESTS_MS, reply: nothing })
    },
    events: (signal) => readEvents(peer, signal),
    [Symbol.asyncDispose]: () => pools.destroy(),
  }
}

function newPools({ address, port, hostName, tls }: Pick<AgentAddress, 'address' | 'port' | 'hostName' | 'tls'>) {
  let opened: Pool | undefined
  const abandoned = new Set<Pool>()
  let isDestroyed = false
  const open = () =>
    new Pool(`https://${isIP(address) === 6 ? `[${address}]` : address}:${port}`, {
      connections: 64,
      allowH2: false, // A call that is given up has to end its connection, which may be dead.
      headersTimeout: 0, // Each call has a time limit of its own.
      bodyTimeout: 0,
      connect: {
        secureContext: contextOf(tls),
        timeout: CONNECT_MS,
        ...(isIP(hostName) === 0 ? { servername: hostName } : {}),
        checkServerIdentity: (_address, certificate) => checkServerIdentity(hostName, certificate),
      },
    })

  return {
    pool: (): Pool => {
      if (isDestroyed) throw new Error('the client was closed')
      return (opened ??= open())
    },
    abandon: (silent: Pool): void => {
      if (silent !== opened) return
      opened = undefined
      abandoned.add(silent)
      const forget = () => abandoned.delete(silent)
      silent.close().then(forget, forget) // It fails only when it is destroyed meanwhile.
    },
    /** Ends all calls, those too that go on over connections that were given up. */
    destroy: async (): Promise<void> => {
      isDestroyed = true
      const all = opened ? [opened, ...abandoned] : [...abandoned]
      await Promise.all(all.map((pool) => pool.destroy()))
    },
  }
}

// Nearly all that a fleet at rest says.
const beat: AgentEvent = { type: 'Beat' }
const BEAT = JSON.stringify(beat)

const contexts = new WeakMap<AgentAddress['tls'], SecureContext>()

/** Made once for all hosts: a context for every connection takes time and memory. */
function contextOf(tls: AgentAddress['tls']): SecureContext {
  const context = contexts.get(tls) ?? createSecureContext({ ca: tls.ca, cert: tls.certificate, key: tls.key })
  contexts.set(tls, context)
  return context
}

async function send<T>(peer: Peer, call: Call<T>): Promise<T> {
  // Who does not lead calls nobody.
  const term = leaderHeaders(peer)
  const sentAtMs = performance.now()
  const tell = (outcome: CallOutcome) => peer.onCalled?.(outcome, performance.now() - sentAtMs)
  try {
    const answer = await ask(peer, call, term)
    tell('OK')
    return answer
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    tell(error.code)
    const held = error.code === 'STALE_TERM' ? staleTerm.safeParse(error.details).data : undefined
    if (held) peer.onStaleTerm?.(held.term)
    throw error
  }
}

async function ask<T>(peer: Peer, call: Call<T>, term: Record<string, string>): Promise<T> {
  const { method, path, body, waitMs, timeoutMs, reply } = call
  const headers = { ...term, ...(body === undefined ? {} : { 'content-type': 'application/json' }) }
  const { status, content } = await reach(peer, async (pool) => {
    const response = await pool.request({
      method,
      path,
      ...(waitMs === undefined ? {} : { query: { waitMs } }),
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(timeoutMs ?? (waitMs ?? 0) + MARGIN_MS),
    })
    return { status: response.statusCode, content: await response.body.json() }
  })
  if (status >= 400) throw toError(status, content)
  return parsed(reply, content)
}

function leaderHeaders({ term }: Peer): Record<string, string> {
  // Microseconds of this process, which is the only one of its term.
  return term ? { [TERM_HEADER]: String(term()), [SEQUENCE_HEADER]: String(Math.floor(performance.now() * 1000)) } : {}
}

async function* readEvents(peer: Peer, signal: AbortSignal): AsyncGenerator<AgentEvent> {
  const silence = new AbortController()
  const headers = leaderHeaders(peer)
  let timer: NodeJS.Timeout | undefined
  let pool: Pool | undefined
  const giveUp = () => {
    if (pool) peer.abandon(pool)
    silence.abort(new Error(`no event for ${STALLED_MS / 1000} s`))
  }
  const listen = () => {
    timer = setTimeout(giveUp, STALLED_MS)
  }
  listen()
  try {
    const either = AbortSignal.any([signal, silence.signal])
    pool = peer.pool()
    const response = await pool.request({ method: 'GET', path: '/v1/events', headers, signal: either })
    if (response.statusCode !== 200) throw toError(response.statusCode, await response.body.json())
    for await (const line of toLines(response.body)) {
      clearTimeout(timer) // The time that the reader takes is not the agent's.
      yield line === BEAT ? beat : parsed(agentEvent, parseJson(line))
      listen()
    }
  } catch (error) {
    if (signal.aborted) return
    throw error instanceof AgentError ? error : unreachable(error)
  } finally {
    clearTimeout(timer)
    silence.abort()
  }
}

async function* toLines(body: AsyncIterable<unknown>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of body) {
    rest += Buffer.isBuffer(chunk) ? decoder.decode(chunk, { stream: true }) : String(chunk)
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > MAX_LINE_LENGTH) throw new AgentError('INTERNAL', 'the agent sends an event without an end')
    yield* lines
  }
}

async function reach<T>(peer: Peer, request: (pool: Pool) => Promise<T>): Promise<T> {
  let pool: Pool | undefined
  try {
    pool = peer.pool()
    return await request(pool)
  } catch (error) {
    if (pool && error instanceof DOMException && error.name === 'TimeoutError') peer.abandon(pool)
    throw unreachable(error)
  }
}

function unreachable(cause: unknown): AgentError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new AgentError('UNREACHABLE', `the agent does not answer: ${why}`, { cause })
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw new AgentError('INTERNAL', 'the agent sends an event that is no JSON', { cause })
  }
}

function toError(status: number, content: unknown): AgentError {
  const { success, data } = agentErrorBody.safeParse(content)
  if (!success) return new AgentError('INTERNAL', `the agent answers HTTP ${status}`)
  return new AgentError(data.code, data.message, { details: data.details })
}

function parsed<T>(schema: z.ZodType<T>, content: unknown): T {
  const { success, data, error } = schema.safeParse(content)
  if (success) return data
  throw new AgentError('INTERNAL', `the agent answers what cannot be read: ${z.prettifyError(error)}`, { cause: error })
}
