import { createSecureContext, type SecureContext } from 'node:tls'
import { Agent, ProxyAgent, type Dispatcher } from 'undici'
import type { Credentials } from './credentials.ts'

/** Streams have connections of their own, so that those can be ended alone, and so has what must wait for no other call. */
export interface Connections {
  readonly calls: Dispatcher
  readonly urgent: Dispatcher
  readonly streams: Dispatcher
  /** Ends when what is under way has ended. */
  close(): Promise<void>
  /** The same, but streams end at once: nobody waits for as long as one may be silent to learn that it is dead. */
  hangUp(): Promise<void>
  /** Ends at once. */
  destroy(): Promise<void>
}

const CONNECT_TIMEOUT_MS = 10_000
/** Each takes memory of both sides, and what a server that is slow has not answered yet is in no more of a hurry. */
const MAX_CALLS = 32
const MAX_URGENT = 4
const MAX_STREAMS = 256
// Some balancers forget a connection after a minute of silence.
const KEEP_ALIVE_MS = 30_000

/** Opens nothing before the first request. */
export function openConnections(credentials: Credentials): Connections {
  const connect = connectOptions(credentials)
  const calls = newDispatcher(credentials, connect, MAX_CALLS)
  const urgent = newDispatcher(credentials, connect, MAX_URGENT)
  const streams = newDispatcher(credentials, connect, MAX_STREAMS)
  return {
    calls,
    urgent,
    streams,
    async close() {
      await Promise.all([calls.close(), urgent.close(), streams.close()])
    },
    async hangUp() {
      await Promise.all([calls.close(), urgent.close(), streams.destroy()])
    },
    async destroy() {
      await Promise.all([calls.destroy(), urgent.destroy(), streams.destroy()])
    },
  }
}

type ConnectOptions = ReturnType<typeof connectOptions>

function connectOptions({ tls }: Credentials) {
  return {
    ...tls,
    ...contextOf(tls),
    timeout: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
  }
}

/** One for all connections: each would take time and memory. What cannot be read is told by the first connection. */
function contextOf(tls: Credentials['tls']): { readonly secureContext?: SecureContext } {
  try {
    return { secureContext: createSecureContext(tls) }
  } catch {
    return {}
  }
}

function newDispatcher({ proxy }: Credentials, connect: ConnectOptions, connections: number): Dispatcher {
  // By HTTP/2 the controllers take 7 % more CPU, and a call that is given up stays on a connection that may be dead.
  const options = { connections, allowH2: false, keepAliveTimeout: KEEP_ALIVE_MS }
  if (proxy === undefined) return new Agent({ ...options, connect })
  return new ProxyAgent({ ...options, uri: proxy, requestTls: connect })
}
