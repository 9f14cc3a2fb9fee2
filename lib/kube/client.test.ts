import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer as createSecureServer } from 'node:https'
import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { FakeClock } from '../queue/testing.ts'
import { newAuthority } from '../tls/authority.ts'
import { Kube, type KubeOptions } from './client.ts'
import { KubeError } from './errors.ts'
import { json, open, serveAnswers, text, writeKubeconfig, type Answer, type Served } from './testing-server.ts'

let stack: AsyncDisposableStack
let folder: string

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  folder = await mkdtemp(join(tmpdir(), 'client-'))
  stack.defer(() => rm(folder, { recursive: true }))
})
afterEach(() => stack.disposeAsync())

async function serve(answers: readonly Answer[], options?: KubeOptions): Promise<Served> {
  return stack.use(await serveAnswers(answers, options))
}

function kubeconfig(server: string): Promise<string> {
  return writeKubeconfig(folder, { server }, { token: 'first' })
}

const get = { method: 'GET', path: '/api' } as const

test('Kube sends what it was asked to, and gives back the answer', async () => {
  const bodies: string[] = []
  const echo: Answer = async (request, response) => {
    bodies.push(Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>)).toString())
    json(201, { made: true })(request, response)
  }
  const { kube, requests } = await serve([echo])
  const contentType = 'application/apply-patch+yaml'
  const reply = await kube.send({
    method: 'PATCH',
    path: '/apis/a',
    query: { force: true, limit: 1, at: 'a b&c' },
    body: { text: 'ü' },
    contentType,
  })
  expect(reply).toEqual({ status: 201, date: expect.any(Date), body: { made: true }, warnings: [] })
  expect(requests[0]).toMatchObject({ method: 'PATCH', url: '/apis/a?force=true&limit=1&at=a%20b%26c' })
  expect(requests[0]?.headers).toMatchObject({ authorization: 'Bearer first', 'content-type': contentType })
  expect(bodies).toEqual(['{"text":"ü"}'])
})

test.each([
  [429, { 'retry-after': '7' }, 7_000],
  [503, { 'retry-after': '2' }, 2_000],
  [429, {}, 1_000],
])('Kube asks again after HTTP %i %j', async (status, headers, waitMs) => {
  const clock = new FakeClock()
  const { kube, requests } = await serve([text(status, '', headers), json(200, { ok: true })], { clock })
  const reply = kube.send(get)
  await expect.poll(() => clock.sleeping, { interval: 2, timeout: 4_000 }).toBe(1)
  expect(clock.nextMs).toBeGreaterThanOrEqual(waitMs)
  expect(clock.nextMs).toBeLessThanOrEqual(waitMs * 1.25)
  expect(requests).toHaveLength(1)
  await clock.advance(waitMs * 1.25)
  expect(await reply).toMatchObject({ body: { ok: true } })
})

test.each([
  ['does not say when to come back', text(503, '')],
  ['wants it later than the call may take', text(503, '', { 'retry-after': '30' })],
  ['says when in another way', text(503, '', { 'retry-after': 'Fri, 31 Dec 1999 23:59:59 GMT' })],
])('Kube gives up at once when a server that is away %s', async (_name, answer) => {
  const { kube, requests } = await serve([answer])
  await expect(kube.send(get)).rejects.toMatchObject({ code: 'Unreachable' })
  expect(requests).toHaveLength(1)
})

test('Kube gives up on a server that is busy five times', async () => {
  const { kube, requests } = await serve([text(429, '', { 'retry-after': '0' })])
  await expect(kube.send(get)).rejects.toMatchObject({ code: 'TooManyRequests' })
  expect(requests).toHaveLength(5)
})

test('Kube reads its credentials again when they are refused, once', async () => {
  const refuse: Answer = (request, response) => {
    const isCurrent = request.headers.authorization === 'Bearer second'
    json(isCurrent ? 200 : 401, { kind: 'Status', message: 'Unauthorized' })(request, response)
  }
  const { kube, requests, changeToken } = await serve([refuse])
  await expect(kube.send(get)).rejects.toMatchObject({ code: 'Unauthorized' })
  expect(requests).toHaveLength(2)
  await changeToken('second')
  expect(await kube.send(get)).toMatchObject({ status: 200 })
  expect(requests).toHaveLength(4)
})

test.each([
  [json(409, { kind: 'Status', reason: 'AlreadyExists', message: 'it is there' }), 'AlreadyExists', 'it is there'],
  [text(502, '<html>Bad Gateway</html>'), 'Unreachable', 'the API server answered HTTP 502'],
  [text(404, 'cut {', { 'content-type': 'application/json' }), 'NotFound', 'the API server answered HTTP 404'],
  [text(403, '', { 'content-type': 'application/json' }), 'Forbidden', 'the API server answered HTTP 403'],
  [text(200, '{"password": "hunter2', { 'content-type': 'application/json' }), 'Unreachable', 'is not JSON'],
])('Kube throws what went wrong (%#)', async (answer, code, message) => {
  const { kube } = await serve([answer])
  const error: unknown = await kube.send(get).catch((caught: unknown) => caught)
  expect(error).toMatchObject({ name: 'KubeError', code, message: expect.stringContaining(message) })
  expect(`${String(error)} ${String((error as Error).cause)}`).not.toContain('hunter2')
})

test('Kube takes answers that are not JSON as text', async () => {
  const { kube } = await serve([text(200, 'ok', { 'content-type': 'text/plain' })])
  expect(await kube.send(get)).toMatchObject({ body: 'ok' })
})

test('Kube ends a call that takes too long, and the next one has a connection of its own', async () => {
  const { kube, requests } = await serve([open(), json(200, {})])
  await expect(kube.send({ ...get, deadlineMs: 150 })).rejects.toMatchObject({ code: 'Timeout' })
  expect(await kube.send(get)).toMatchObject({ status: 200 })
  expect(requests[1]?.socket.remotePort).not.toBe(requests[0]?.socket.remotePort)
})

test('Kube ends a call in time to a server that takes the connection and says nothing', async () => {
  const server = createTcpServer(() => undefined).listen(0, '127.0.0.1')
  await once(server, 'listening')
  stack.defer(() => void server.close())
  const { port } = server.address() as AddressInfo
  const kube = stack.use(await Kube.connect(await kubeconfig(`https://127.0.0.1:${port}`)))
  const startedAt = performance.now()
  await expect(kube.send({ ...get, deadlineMs: 100 })).rejects.toMatchObject({ code: 'Timeout' })
  expect(performance.now() - startedAt).toBeLessThan(5_000)
})

test('Kube gives up when the caller does, with the reason of the caller', async () => {
  const { kube, requests } = await serve([open()])
  const abort = new AbortController()
  const call = kube.send({ ...get, signal: abort.signal })
  await expect.poll(() => requests.length, { interval: 2, timeout: 4_000 }).toBe(1)
  abort.abort(new Error('no longer wanted'))
  await expect(call).rejects.toThrow('no longer wanted')
})

test('Kube says what kept it from the server', async () => {
  const { kube } = await serve([(request) => request.socket.destroy()])
  await expect(kube.send(get)).rejects.toMatchObject({ code: 'Unreachable' })
  const nobody = stack.use(await Kube.connect(await kubeconfig('http://127.0.0.1:1')))
  const message = 'the API server cannot be reached: ECONNREFUSED'
  await expect(nobody.send(get)).rejects.toMatchObject({ code: 'Unreachable', message })
})

const cut: Answer = (_, response) => response.write('{"n":1}\n', () => response.destroy())
const forever = new AbortController().signal

test('a stream gives each line as it comes, and ends with the answer', async () => {
  const answer: Answer = (_, response) => {
    response.write('{"n":1}\n{"n"')
    setTimeout(() => response.end(':2}\n{"n":3}'), 5)
  }
  const { kube } = await serve([answer])
  expect(await Array.fromAsync(kube.stream({ path: '/w' }, forever))).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
})

test.each([
  ['silent', open('{"n":1}\n'), 'Timeout'],
  ['refused', json(410, { kind: 'Status', reason: 'Expired', message: 'too old' }), 'Expired'],
  ['cut', cut, 'Unreachable'],
  ['no JSON', open('{"n":1}\n', 'hunter2\n'), 'Unreachable'],
  ['one line of 9 MB', open('x'.repeat(9 * 1024 * 1024)), 'Other'],
])('a stream that is %s throws', async (_name, answer, code) => {
  const { kube } = await serve([answer])
  const lines = kube.stream({ path: '/w', stallMs: code === 'Timeout' ? 100 : 10_000 }, forever)
  const error: unknown = await Array.fromAsync(lines).catch((caught: unknown) => caught)
  expect(error).toMatchObject({ name: 'KubeError', code })
  expect(String(error)).not.toContain('hunter2')
})

test('a stream that has bytes now and then is not silent', async () => {
  const answer: Answer = (_, response) => {
    for (const [index, piece] of ['{', '"n":', '1}'].entries()) setTimeout(() => response.write(piece), index * 150)
    setTimeout(() => response.end(), 450)
    response.flushHeaders()
  }
  const { kube } = await serve([answer])
  expect(await Array.fromAsync(kube.stream({ path: '/w', stallMs: 400 }, forever))).toEqual([{ n: 1 }])
})

test('a stream whose answer does not begin in time throws, however long it may be silent later', async () => {
  const { kube } = await serve([() => undefined])
  const lines = kube.stream({ path: '/w', stallMs: 10_000, answerMs: 50 }, forever)
  await expect(Array.fromAsync(lines)).rejects.toMatchObject({ code: 'Timeout' })
})

test.each([
  ['ends the streams that were opened with it', 2_000, 'Unreachable'],
  ['of a caller in a hurry leaves streams alone', 100, undefined],
])('a call that is never answered %s', async (_name, deadlineMs, code) => {
  const { kube } = await serve([open('{"n":1}\n'), () => undefined])
  const abort = new AbortController()
  const seen: unknown[] = []
  let error: KubeError | undefined
  const reading = (async () => {
    for await (const line of kube.stream({ path: '/w' }, abort.signal)) seen.push(line)
  })().catch((caught: unknown) => {
    if (!abort.signal.aborted && caught instanceof KubeError) error = caught
  })
  await expect.poll(() => seen.length, { interval: 2, timeout: 4_000 }).toBe(1)
  await expect(kube.send({ ...get, deadlineMs })).rejects.toMatchObject({ code: 'Timeout' })
  if (code !== undefined) await reading
  abort.abort()
  await reading
  expect(error?.code).toBe(code)
})

test('a stream ends when the caller gives up, and so do all when the client is closed', async () => {
  const { kube } = await serve([open('{"n":1}\n')])
  const abort = new AbortController()
  const seen: unknown[] = []
  const read = async (signal: AbortSignal) => {
    for await (const line of kube.stream({ path: '/w' }, signal)) seen.push(line)
  }
  const first = read(abort.signal)
  await expect.poll(() => seen.length, { interval: 2, timeout: 4_000 }).toBe(1)
  abort.abort(new Error('no longer wanted'))
  await expect(first).rejects.toThrow('no longer wanted')
  const second = read(forever)
  await expect.poll(() => seen.length, { interval: 2, timeout: 4_000 }).toBe(2)
  await Promise.all([expect(second).rejects.toMatchObject({ code: 'Unreachable' }), kube.close()])
})

test('Kube keeps its connections, proves who it is, and hands on warnings and big bodies', async () => {
  const authority = await newAuthority('test')
  const ips = ['127.0.0.1']
  const identity = await authority.issue({ commonName: 'server', ips, usages: ['Server'] })
  const user = await authority.issue({ commonName: 'someone', usages: ['Client'] })
  const ca = authority.certificate
  const sockets = new Set<unknown>()
  const big = { text: 'x'.repeat(2 * 1024 * 1024) }
  const server = createSecureServer(
    { cert: identity.certificate, key: identity.key, ca, requestCert: true },
    (request, response) => {
      sockets.add(request.socket)
      if (request.url === '/silent') return
      response.setHeader('content-type', 'application/json')
      response.setHeader('warning', ['299 - "one, two"', '299 - "a \\"quoted\\" one"'])
      response.end(JSON.stringify(big))
    },
  ).listen(0, '127.0.0.1')
  await once(server, 'listening')
  stack.defer(() => void server.close())
  const { port } = server.address() as AddressInfo
  const base64 = (pem: string) => Buffer.from(pem).toString('base64')
  const path = await writeKubeconfig(
    folder,
    { server: `https://127.0.0.1:${port}`, 'certificate-authority-data': base64(ca) },
    { 'client-certificate-data': base64(user.certificate), 'client-key-data': base64(user.key) },
  )
  const kube = stack.use(await Kube.connect(path))
  const replies = await Promise.all(Array.from({ length: 3 }, () => kube.send(get)))
  expect(replies.map(({ warnings }) => warnings)).toEqual(replies.map(() => ['one, two', 'a "quoted" one']))
  expect(replies.map(({ body }) => JSON.stringify(body).length)).toEqual(replies.map(() => JSON.stringify(big).length))
  await nextTurn() // Only then are they free again.
  const used = sockets.size
  expect(used).toBeLessThanOrEqual(replies.length)
  for (let index = 0; index < 3; index++) await kube.send(get)
  expect(sockets.size).toBe(used)
  // A connection that has gone silent is not used again.
  await expect(kube.send({ ...get, path: '/silent', deadlineMs: 30 })).rejects.toMatchObject({ code: 'Timeout' })
  await kube.send(get)
  expect(sockets.size).toBe(used + 1)

  const stranger = await (await newAuthority('test')).issue({ commonName: 'server', ips, usages: ['Server'] })
  server.setSecureContext({ cert: stranger.certificate, key: stranger.key, ca })
  const careful = stack.use(await Kube.connect(path))
  await expect(careful.send(get)).rejects.toMatchObject({ code: 'Unreachable' })
})
