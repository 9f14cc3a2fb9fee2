import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Agent, createServer, request, type RequestOptions } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Wire } from './wire.ts'

/** A request on its way, as it passes the proxy. */
export interface Passing {
  /** From 1 on, since the proxy started or was reset. */
  readonly number: number
  readonly method: string
  readonly path: string
  /** It stays open: a watch or a stream of events. */
  readonly isStream: boolean
}

/**
 * What happens to a request. `cut`: the connection breaks before it gets through; `cutAfter`: after it was carried out,
 * before the answer; `stall`: nobody ever answers; `answer`: the server seems to say this; `pass`: it gets through,
 * after `delayMs` if given, to `path` instead of its own, and an answer's lines as `lines` makes them, who may throw to
 * break the connection.
 */
export type Verdict =
  | { readonly type: 'cut' | 'stall' }
  | { readonly type: 'cutAfter'; readonly meanwhile?: () => Promise<void> }
  | {
      readonly type: 'answer'
      readonly status: number
      readonly headers?: Record<string, string>
      /** An object as JSON; a text as it is. */
      readonly body?: object | string
    }
  | {
      readonly type: 'pass'
      readonly delayMs?: number
      readonly path?: string
      readonly lines?: (lines: AsyncIterable<string>) => AsyncIterable<string>
    }

export interface Identity {
  /** PEM texts. */
  readonly certificate: string
  readonly key: string
}

export interface ProxyOptions {
  /** Where requests go. */
  readonly port: number
  /** Name in the certificate of the server there. */
  readonly serverName: string
  /** PEM of the authority of both sides. */
  readonly ca: string
  /** What the proxy proves itself with to its clients, and to the server. */
  readonly server: Identity
  readonly client: Identity
}

const pass: Verdict = { type: 'pass' }

type Sent = Pick<RequestOptions, 'method' | 'path'> & Pick<IncomingMessage, 'headers'>

/** Stands between our processes and a server, counts what passes, and does to it what a bad network would. */
export class FaultProxy implements AsyncDisposable {
  readonly #options: ProxyOptions
  readonly #upstream: Agent
  readonly #server
  readonly #sockets = new Set<Socket>()
  #wire: Wire | undefined
  readonly #streams = new Map<ServerResponse, AbortController>()
  #count = 0
  /** Asked for every request. May wait, and may kill somebody meanwhile. */
  judge: (passing: Passing) => Verdict | Promise<Verdict> = () => pass

  private constructor(options: ProxyOptions) {
    this.#options = options
    const { ca, server, client } = options
    this.#upstream = new Agent({
      keepAlive: true,
      ca,
      cert: client.certificate,
      key: client.key,
      servername: options.serverName,
    })
    this.#server = createServer({
      cert: server.certificate,
      key: server.key,
      ca,
      requestCert: true,
      rejectUnauthorized: true,
      keepAliveTimeout: 75_000, // As the agent, and as kube-apiserver, which keeps connections for longer.
    })
    this.#server.on('request', (incoming, outgoing) => void this.#take(incoming, outgoing))
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
  }

  static async start(options: ProxyOptions): Promise<FaultProxy> {
    const proxy = new FaultProxy(options)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    const address = proxy.#server.address()
    proxy.#wire = await Wire.open(isAddress(address) ? address.port : 0)
    return proxy
  }

  /** What its clients' connections go through. */
  get wire(): Wire {
    if (!this.#wire) throw new Error('the proxy is not started')
    return this.#wire
  }

  get port(): number {
    return this.wire.port
  }

  /** Requests since the start or the last `reset`. */
  get count(): number {
    return this.#count
  }

  /** Counts from 1 again, and lets everything pass. */
  reset(): void {
    this.#count = 0
    this.judge = () => pass
  }

  /** Breaks every connection that there is now. */
  cutAll(): void {
    this.wire.cut()
  }

  /** What the server really says now to a GET. */
  async ask(path: string): Promise<unknown> {
    const reply = await this.#send({ method: 'GET', path, headers: {} }, Buffer.alloc(0))
    const chunks = await Array.fromAsync(bytes(reply))
    return JSON.parse(Buffer.concat(chunks).toString())
  }

  /** Streams that are open now fall silent without ending. */
  stallStreams(): void {
    for (const stalled of this.#streams.values()) stalled.abort()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.wire[Symbol.asyncDispose]()
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#upstream.destroy()
    // One that waits for what the other side never reads would not notice that it is gone.
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  async #take(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { method = '', url: path = '' } = incoming
    const isStream = /[?&]watch=true|^\/v1\/events/.test(path)
    this.#count += 1
    outgoing.on('error', () => undefined)
    incoming.on('error', () => undefined)
    const chunks: Buffer[] = []
    try {
      for await (const chunk of bytes(incoming)) chunks.push(chunk)
    } catch {
      return // It was cut before it was whole.
    }
    const verdict = await this.judge({ number: this.#count, method, path, isStream })
    if (verdict.type === 'stall') return
    if (verdict.type === 'cut') return void incoming.socket.destroy()
    if (verdict.type === 'answer') return answer(outgoing, verdict)
    if (verdict.type === 'pass' && verdict.delayMs !== undefined) await sleep(verdict.delayMs)
    await this.#forward(incoming, outgoing, Buffer.concat(chunks), verdict)
  }

  async #forward(incoming: IncomingMessage, outgoing: ServerResponse, body: Buffer, verdict: Verdict): Promise<void> {
    try {
      const { method, url, headers } = incoming
      const path = (verdict.type === 'pass' ? verdict.path : undefined) ?? url
      const reply = await this.#send({ method, path, headers }, body)
      if (verdict.type === 'cutAfter') {
        for await (const _ of bytes(reply)); // Only then is it surely carried out.
        await verdict.meanwhile?.()
        return void incoming.socket.destroy()
      }
      outgoing.writeHead(reply.statusCode ?? 502, withoutHopByHop(reply.headers))
      const lines = verdict.type === 'pass' ? verdict.lines : undefined
      await this.#pipe(reply, outgoing, lines)
    } catch {
      incoming.socket.destroy() // The server broke off, and so do we.
    }
  }

  async #pipe(
    reply: IncomingMessage,
    outgoing: ServerResponse,
    lines?: (from: AsyncIterable<string>) => AsyncIterable<string>,
  ): Promise<void> {
    const stalled = new AbortController()
    this.#streams.set(outgoing, stalled)
    outgoing.once('close', () => {
      this.#streams.delete(outgoing)
      reply.destroy()
      stalled.abort() // Lines that never end would go on for nobody.
    })
    const source: AsyncIterable<string | Buffer> = lines ? lines(toLines(bytes(reply))) : bytes(reply)
    for await (const chunk of source) {
      if (stalled.signal.aborted) return
      outgoing.write(chunk)
    }
    outgoing.end()
  }

  async #send({ method, path, headers }: Sent, body: Buffer): Promise<IncomingMessage> {
    const kept = Object.entries(headers).filter(([name]) => name !== 'host' && name !== 'connection')
    const options: RequestOptions = {
      host: '127.0.0.1',
      port: this.#options.port,
      method,
      path,
      headers: { ...Object.fromEntries(kept), ...(body.length > 0 && { 'content-length': body.length }) },
      agent: this.#upstream,
    }
    return new Promise((resolve, reject) => {
      const query = request(options, resolve)
      query.on('error', reject).end(body)
    })
  }
}

function isAddress(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === 'object' && address !== null
}

function answer(outgoing: ServerResponse, { status, headers = {}, body }: Extract<Verdict, { type: 'answer' }>): void {
  outgoing.writeHead(status, { 'content-type': 'application/json', ...headers })
  const failure = { kind: 'Status', apiVersion: 'v1', status: 'Failure', code: status, message: 'a fault is played' }
  outgoing.end(typeof body === 'string' ? body : JSON.stringify(body ?? failure))
}

function withoutHopByHop(headers: IncomingMessage['headers']): IncomingMessage['headers'] {
  const { connection: _connection, 'transfer-encoding': _encoding, 'keep-alive': _keepAlive, ...rest } = headers
  return rest
}

async function* bytes(source: AsyncIterable<unknown>): AsyncGenerator<Buffer> {
  for await (const chunk of source) if (chunk instanceof Uint8Array) yield Buffer.from(chunk)
}

async function* toLines(source: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of source) {
    const parts = (rest + chunk.toString()).split('\n')
    rest = parts.pop() ?? ''
    for (const part of parts) yield `${part}\n`
  }
  if (rest !== '') yield rest
}
