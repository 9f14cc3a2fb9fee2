import { once } from 'node:events'
import { createServer, type Http2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent } from 'undici'
import { expect, test } from 'vitest'
import { unlessGivenUp } from './unsent.ts'

/** HTTP/2 without TLS. */
const plain = { allowH2: true, useH2c: true, connections: 1 }
const READS_AFTER_MS = 200
/** More than the windows of its connection and streams let a client send before the server reads. */
const WRITES = 90
const body = 'x'.repeat(3_000)

/** A server over HTTP/2 that reads a moment later, and answers then. */
async function serve(): Promise<AsyncDisposable & { readonly origin: string; readonly server: Http2Server }> {
  const server = createServer({ settings: { maxConcurrentStreams: 250 } })
  server.on('stream', (stream) => {
    stream.on('error', () => undefined)
    setTimeout(() => {
      stream.resume()
      stream.on('end', () => {
        if (stream.destroyed) return
        stream.respond({ ':status': 200 })
        stream.end('done')
      })
    }, READS_AFTER_MS)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const close = async () => {
    server.close()
    await once(server, 'close')
  }
  return { origin: `http://127.0.0.1:${port}`, server, [Symbol.asyncDispose]: close }
}

test('Writes that are given up half sent neither end the process nor the connection, and go through', async () => {
  await using served = await serve()
  const { origin, server } = served
  let streams = 0
  server.on('stream', () => streams++)
  const agent = new Agent({ ...plain, pipelining: 1_000 })
  for (const afterMs of [10, 50, 150]) {
    streams = 0
    const stop = new AbortController()
    const dispatcher = unlessGivenUp(agent, stop.signal)
    const all = Array.from({ length: WRITES }, async () => {
      const answer = await dispatcher.request({ origin, method: 'POST', path: '/', body })
      return answer.body.text()
    })
    const settled = Promise.allSettled(all)
    await sleep(afterMs)
    stop.abort(new Error('no longer wanted'))
    const found = await settled
    const done = found.filter(({ status }) => status === 'fulfilled')
    expect(done).toHaveLength(streams)
    expect(found.filter(({ status }) => status === 'rejected')).toHaveLength(WRITES - streams)
  }
  await agent.close()
})

test('A write that is given up before its turn is never sent', async () => {
  await using served = await serve()
  let streams = 0
  served.server.on('stream', () => streams++)
  const agent = new Agent(plain)
  const dispatcher = unlessGivenUp(agent, AbortSignal.abort(new Error('no longer wanted')))
  const write = dispatcher.request({ origin: served.origin, method: 'POST', path: '/', body })
  await expect(write).rejects.toThrow('no longer wanted')
  expect(streams).toBe(0)
  await agent.close()
})
