import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** A server of files on this computer, as slow as it is told to be. */
export interface ImageServer extends AsyncDisposable {
  /** Of one file. Others differ in the path. */
  readonly url: string
  /** Bytes of the file that were handed to connections. */
  readonly sentBytes: number
  /** Beginnings of the answers that were given. */
  readonly ranges: readonly number[]
  /** Stops after so many bytes of the file until it is told otherwise. */
  stopAtBytes: number
}

const PIECE_BYTES = 256 * 1024
const LOOK_MS = 50

/** A place in a qcow2 file of which nothing is read. */
const UNREAD = 40_000

/** The file at that address: no other has the same bytes. */
export function variantOf(bytes: Buffer, address: string): Buffer {
  const copy = Buffer.from(bytes)
  copy.write(address, UNREAD)
  return copy
}

/** Serves that file under every path, or the one that a path stands for. */
export async function serveImage(served: Buffer | ((path: string) => Buffer)): Promise<ImageServer> {
  const fileAt = typeof served === 'function' ? served : () => served
  const ranges: number[] = []
  let sentBytes = 0
  const send = async ({ url = '', headers }: IncomingMessage, response: ServerResponse): Promise<void> => {
    const file = fileAt(url)
    const first = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0)
    ranges.push(first)
    response.writeHead(first > 0 ? 206 : 200, {
      etag: '"the-one"',
      'content-length': file.length - first,
      ...(first > 0 && { 'content-range': `bytes ${first}-${file.length - 1}/${file.length}` }),
    })
    response.on('error', () => undefined)
    for (let at = first; at < file.length && !response.destroyed;) {
      const end = Math.min(at + PIECE_BYTES, file.length, Math.max(at, made.stopAtBytes))
      sentBytes += end - at
      if (end > at) response.write(file.subarray(at, end))
      at = end
      await sleep(LOOK_MS)
    }
    response.end()
  }
  const server = createServer((request, response) => void send(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const made = {
    url: `http://127.0.0.1:${port}/guest.qcow2`,
    get sentBytes() {
      return sentBytes
    },
    ranges,
    stopAtBytes: Infinity,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return made
}
