import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  createServer as createPlainServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http'
import { createServer as createSecureServer, type ServerOptions } from 'node:https'
import { createServer as createRawServer, type Server, type Socket } from 'node:net'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../../../lib/clock.ts'
import { silentLog } from '../../../lib/log.ts'
import type { DesiredImage } from '../../contract.ts'
import { newQemuImg } from '../qemu-img.ts'
import { probeSandbox } from '../sandbox.ts'
import { newFolder } from '../testing.ts'
import { systemResolve, type Resolve } from './resolve.ts'
import type { DownloadLimits } from './download.ts'
import { newDownloads, prepareDownloads, type Downloads } from './downloads.ts'

const LOOPBACK = '127.0.0.0/8'

/** Of a server that is near and hostile: what takes minutes elsewhere takes a moment here. */
export const quickLimits: DownloadLimits = {
  connectMs: 5000,
  answerMs: 1000,
  stallMs: 1000,
  stallBytes: 4096,
  maxFailures: 4,
  firstRetryMs: 5,
  lastRetryMs: 20,
  atOnce: 4,
  inAll: 16,
  fairMs: 60_000,
  unaskedMs: 600_000,
}

/** Downloads of one host, in a folder of their own. */
export interface DownloadWorld extends AsyncDisposable {
  readonly dir: string
  readonly downloadDir: string
  readonly downloads: Downloads
  /** Digests of which it was told that their work has ended. */
  readonly told: string[]
  /** What is in the folder. */
  files(): Promise<string[]>
  /** What another agent process would make of the same folder. */
  reopen(): Promise<Downloads>
}

export async function newDownloadWorld(change: { resolve?: Resolve; limits?: Partial<DownloadLimits> } = {}) {
  const folder = await newFolder()
  const downloadDir = join(folder.path, 'images')
  const told: string[] = []
  const reopen = async () => {
    await prepareDownloads(downloadDir)
    return newDownloads({
      downloadDir,
      qemuImg: newQemuImg('qemu-img', await probeSandbox()),
      resolve: change.resolve ?? systemResolve,
      limits: { ...quickLimits, ...change.limits },
      clock: systemClock,
      log: silentLog,
      onEnd: (sha256) => told.push(sha256),
    })
  }
  const world: DownloadWorld = {
    dir: folder.path,
    downloadDir,
    downloads: await reopen(),
    told,
    files: async () => (await readdir(downloadDir)).toSorted(),
    reopen,
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
  return world
}

/** A server on the loopback, which is no public address. */
export interface TestServer extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** Every request that came. */
  readonly requests: {
    readonly path: string
    readonly range: string | undefined
    readonly ifRange: string | undefined
  }[]
  /** Connections that were made, whatever came of them. */
  connections: number
}

export async function serve(answer: RequestListener, tls?: ServerOptions): Promise<TestServer> {
  const requests: TestServer['requests'] = []
  const listener: RequestListener = (request, response) => {
    const { range, 'if-range': ifRange } = request.headers
    requests.push({ path: request.url ?? '', range, ifRange: ifRange?.toString() })
    response.on('error', () => undefined)
    answer(request, response)
  }
  const server = tls ? createSecureServer(tls, listener) : createPlainServer(listener)
  return listen(server, { requests, scheme: tls ? 'https' : 'http' })
}

/** A server that writes whatever it likes. */
export async function serveRaw(answer: (socket: Socket) => void): Promise<TestServer> {
  const server = createRawServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => answer(socket))
  })
  return listen(server, { requests: [], scheme: 'http' })
}

async function listen(
  server: Server,
  { requests, scheme }: { readonly requests: TestServer['requests']; readonly scheme: string },
): Promise<TestServer> {
  const sockets = new Set<Socket>()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const made: TestServer = {
    url: `${scheme}://127.0.0.1:${port}/image`,
    port,
    requests,
    connections: 0,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
  server.on('connection', (socket: Socket) => {
    made.connections += 1
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  return made
}

/** Bytes that are not alike anywhere. */
export function noise(bytes: number, seed = 1): Buffer {
  const buffer = Buffer.alloc(bytes)
  let state = seed
  for (let at = 0; at + 4 <= bytes; at += 4) {
    state = (state * 48_271) % 2_147_483_647
    buffer.writeUInt32LE(state, at)
  }
  return buffer
}

export function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** An order for exactly these bytes, from a server on the loopback. */
export function orderOf(bytes: Uint8Array, url: string, change: Partial<DesiredImage> = {}): DesiredImage {
  const sha256 = digestOf(bytes)
  return { sha256, format: 'raw', url, maxBytes: 2 ** 30, allowedNetworks: [LOOPBACK], ...change }
}

interface Habits {
  /** Cuts the connection after so many bytes of a body. */
  readonly atMost?: number
  /** Sends no entity tag. */
  readonly isTagless?: boolean
  /** Sends the range though the tag that was asked for is another. */
  readonly ignoresTag?: boolean
  readonly ignoresRange?: boolean
}

/** Serves bytes as a good server does: ranges, and a strong entity tag by which it holds to them. */
export function sendRange(
  bytes: Buffer,
  { headers }: IncomingMessage,
  response: ServerResponse,
  habits: Habits = {},
): void {
  const etag = `"${digestOf(bytes).slice(0, 16)}"`
  const first = firstByte(headers, etag, habits)
  if (!habits.isTagless) response.setHeader('etag', etag)
  response.setHeader('content-length', bytes.length - first)
  if (first > 0) response.setHeader('content-range', `bytes ${first}-${bytes.length - 1}/${bytes.length}`)
  response.writeHead(first > 0 ? 206 : 200)
  const body = bytes.subarray(first)
  const { atMost = body.length } = habits
  if (atMost >= body.length) response.end(body)
  else response.write(body.subarray(0, atMost), () => response.destroy())
}

function firstByte(
  { range, 'if-range': wanted }: IncomingMessage['headers'],
  etag: string,
  { ignoresRange, ignoresTag, isTagless }: Habits,
): number {
  const asked = ignoresRange ? undefined : /^bytes=(\d+)-$/.exec(range ?? '')?.[1]
  const isSame = [ignoresTag, isTagless, wanted === undefined, wanted === etag].includes(true)
  return isSame ? Number(asked ?? 0) : 0
}
