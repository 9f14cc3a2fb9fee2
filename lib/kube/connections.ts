import { Agent, ProxyAgent, type Dispatcher } from 'undici'
import type { Credentials } from './credentials.ts'

/** Calls and streams have connections of their own, so that those of streams can be ended alone. */
export interface Connections {
  readonly calls: Dispatcher
  readonly streams: Dispatcher
  /** Ends when what is under way has ended. */
  close(): Promise<void>
  /** The same, but streams end at once: nobody waits for as long as one may be silent to learn that it is dead. */
  hangUp(): Promise<void>
  /** Ends at once. */
  destroy(): Promise<void>
}

const CONNECT_TIMEOUT_MS = 10_000
/** More than there are calls at once, or the renewal of a lease would wait for those of an API server that is slow. */
const MAX_CONNECTIONS = 256
// Some balancers forget a connection after a minute of silence.
const KEEP_ALIVE_MS = 30_000

/** Opens nothing before the first request. */
export function openConnections(credentials: Credentials): Connections {
  const calls = newDispatcher(credentials)
  const streams = newDispatcher(credentials)
  return {
    calls,
    streams,
    async close() {
      await Promise.all([calls.close(), streams.close()])
    },
    async hangUp() {
      await Promise.all([calls.close(), streams.destroy()])
    },
    async destroy() {
      await Promise.all([calls.destroy(), streams.destroy()])
    },
  }
}

function newDispatcher({ tls, proxy }: Credentials): Dispatcher {
  const connect = { ...tls, timeout: CONNECT_TIMEOUT_MS, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }
  // By HTTP/2 a call takes a tenth more CPU of ours, and one that is given up stays on a connection that may be dead.
  const options = { connections: MAX_CONNECTIONS, allowH2: false, keepAliveTimeout: KEEP_ALIVE_MS }
  if (proxy === undefined) return new Agent({ ...options, connect })
  return new ProxyAgent({ ...options, uri: proxy, requestTls: connect })
}
