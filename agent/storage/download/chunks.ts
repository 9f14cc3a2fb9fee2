import type { Readable } from 'node:stream'

const MAX_WAITING_BYTES = 2 ** 20

/**
 * The chunks of a body, to the last one that came: a stream that breaks drops what it holds, and of a connection that
 * is cut often that would be most. Listens from the call on, not from the first read. Throws what the stream broke
 * with. Holds at most a mebibyte and a chunk.
 */
export function chunksOf(body: Readable): AsyncIterable<Buffer> {
  const waiting: Buffer[] = []
  let waitingBytes = 0
  let end: { readonly error?: unknown } | undefined
  let arrival = Promise.withResolvers<void>()
  const finish = (how: { readonly error?: unknown }) => {
    end ??= how
    arrival.resolve()
  }
  body.on('data', (chunk: Buffer) => {
    waiting.push(chunk)
    waitingBytes += chunk.length
    if (waitingBytes > MAX_WAITING_BYTES) body.pause()
    arrival.resolve()
  })
  body.once('end', () => finish({}))
  body.once('error', (error) => finish({ error }))
  body.once('close', () => finish({ error: new Error('the connection was closed') }))
  const wait = async () => {
    await arrival.promise
    arrival = Promise.withResolvers<void>()
  }
  const take = () => {
    const chunk = waiting.shift()
    waitingBytes -= chunk?.length ?? 0
    if (body.isPaused()) body.resume()
    return chunk
  }
  return read(take, wait, () => end)
}

async function* read(
  take: () => Buffer | undefined,
  wait: () => Promise<void>,
  ended: () => { readonly error?: unknown } | undefined,
): AsyncGenerator<Buffer> {
  for (;;) {
    const chunk = take()
    const end = ended()
    if (chunk) yield chunk
    else if (!end) await wait()
    else if ('error' in end) throw end.error
    else return
  }
}
