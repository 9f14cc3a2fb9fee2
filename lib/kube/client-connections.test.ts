import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Kube } from './client.ts'

interface World extends AsyncDisposable {
  readonly kube: Kube
  /** In the order in which they came. */
  readonly requests: readonly IncomingMessage[]
}

/** A server, and a client of it. */
async function serve(answer: RequestListener): Promise<World> {
  await using stack = new AsyncDisposableStack()
  const requests: IncomingMessage[] = []
  const server = createServer((request, response) => {
    requests.push(request)
    response.setHeader('content-type', 'application/json')
    request.resume()
    answer(request, response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  stack.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  const folder = await mkdtemp(join(tmpdir(), 'client-'))
  stack.defer(() => rm(folder, { recursive: true }))
  const { port } = server.address() as AddressInfo
  const path = join(folder, 'config')
  const config = {
    'current-context': 'main',
    clusters: [{ name: 'c', cluster: { server: `http://127.0.0.1:${port}` } }],
    contexts: [{ name: 'main', context: { cluster: 'c', user: 'u' } }],
    users: [{ name: 'u', user: { token: 'x' } }],
  }
  await writeFile(path, JSON.stringify(config))
  const kube = stack.use(await Kube.connect(path))
  const open = stack.move()
  return { kube, requests, [Symbol.asyncDispose]: () => open.disposeAsync() }
}

test('deletes with a body use connections again as other calls do', async () => {
  const sockets = new Set<unknown>()
  await using world = await serve((request, response) => {
    sockets.add(request.socket)
    response.end('{}')
  })
  const { kube } = world
  for (let index = 0; index < 6; index++) {
    await kube.send({ method: 'DELETE', path: '/x', body: { propagationPolicy: 'Background' } })
    await nextTurn()
  }
  expect(sockets.size).toBeLessThanOrEqual(2)
})

test('calls that are never answered hold up others, but no urgent one', async () => {
  await using world = await serve((request, response) => {
    if (request.url === '/urgent') response.end('{}')
  })
  const { kube, requests } = world
  const giveUp = new AbortController()
  const hung = Array.from({ length: 100 }, async () =>
    kube.send({ method: 'POST', path: '/hung', body: {}, signal: giveUp.signal }),
  )
  const ended = Promise.allSettled(hung)
  await expect.poll(() => requests.length, { interval: 2, timeout: 4_000 }).toBeGreaterThan(10)
  await kube.send({ method: 'GET', path: '/urgent', isUrgent: true, deadlineMs: 4_000 })
  const sent = requests.length
  expect(sent).toBeLessThan(100)
  giveUp.abort(new Error('no longer wanted'))
  expect((await ended).map(({ status }) => status)).toEqual(hung.map(() => 'rejected'))
  // What had not had its turn is never sent, and the next call finds a connection.
  await kube.send({ method: 'GET', path: '/urgent', deadlineMs: 4_000 })
  await sleep(50)
  expect(requests).toHaveLength(sent + 1)
})
