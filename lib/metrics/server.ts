import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server, type ServerOptions } from 'node:https'
import type { Log } from '../log.ts'
import { callerName } from '../tls/server-files.ts'
import type { Metrics } from './metrics.ts'

export interface MetricsServerOptions {
  readonly metrics: Pick<Metrics, 'contentType' | 'render'>
  readonly listen: string
  readonly port: number
  /** Callers must prove themselves: `requestCert` and `rejectUnauthorized` are set. */
  readonly tls: ServerOptions
  /** Common names of the certificates of those who may read. */
  readonly readers: readonly string[]
  readonly log: Log
}

export interface MetricsServer extends AsyncDisposable {
  readonly server: Server
}

/** Nobody has more to say here than one line. */
const MAX_HEADER_BYTES = 8 * 1024
const REQUEST_MS = 10_000

/** Serves `GET /metrics` over mutual TLS, and nothing else, for a process that has no other server. */
export async function serveMetrics(options: MetricsServerOptions): Promise<MetricsServer> {
  const { listen, port, tls, log } = options
  const limits = { maxHeaderSize: MAX_HEADER_BYTES, requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS }
  const server = createServer({ ...tls, ...limits }, (request, response) => {
    answer(request, response, options).catch((error: unknown) => {
      log.error({ err: error }, 'the metrics cannot be told')
      end(response, 500, 'the metrics cannot be told; see the log')
    })
  })
  server.listen(port, listen)
  await once(server, 'listening')
  return {
    server,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

async function answer(
  { method, url = '', socket }: IncomingMessage,
  response: ServerResponse,
  { metrics, readers, log }: MetricsServerOptions,
): Promise<void> {
  const caller = callerName(socket)
  if (caller === undefined || !readers.includes(caller)) {
    log.warn({ caller, address: socket.remoteAddress }, 'a caller that may not read the metrics was refused')
    return end(response, 403, 'this certificate may not read the metrics')
  }
  if (url.split('?')[0] !== '/metrics') return end(response, 404, 'there is only /metrics')
  if (method !== 'GET') return end(response, 405, 'only GET is possible')
  const text = await metrics.render()
  response.writeHead(200, { 'content-type': metrics.contentType }).end(text)
  return undefined
}

function end(response: ServerResponse, status: number, message: string): void {
  if (response.headersSent) response.destroy()
  else response.writeHead(status, { 'content-type': 'text/plain' }).end(`${message}\n`)
}
