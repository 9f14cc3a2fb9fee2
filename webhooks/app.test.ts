import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { silentLog } from '../lib/log.ts'
import { buildApp } from './app.ts'
import { MAX_SECRET } from './door.ts'
import type { Verdict } from './review.ts'

const resource = { group: 'storage.holdfast.dev', version: 'v1alpha1', resource: 'disks' }
const review = {
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: { uid: 'r-1', resource, operation: 'CREATE', userInfo: {} },
}
const allow = async (): Promise<Verdict> => ({})

test.each([32, 100, 101, MAX_SECRET])(
  'a path of %d letters that only the API server knows is found',
  async (length) => {
    const secret = 'a'.repeat(length)
    const app = buildApp({ door: { by: 'Path', secret }, validate: allow, mutate: allow, log: silentLog })
    const statusAt = async (path: string) =>
      (await app.inject({ method: 'POST', url: `/${path}/validate`, payload: review })).statusCode
    expect(await statusAt(secret)).toBe(200)
    expect(await statusAt(`b${secret.slice(1)}`)).toBe(404)
  },
)

/** A server with memory for two of our requests, which judges none before it is told to. */
async function startBusy() {
  const secret = 'a'.repeat(32)
  const body = JSON.stringify(review)
  const { promise: judged, resolve } = Promise.withResolvers<Verdict>()
  let judging = 0
  const validate = async () => {
    judging += 1
    return judged
  }
  const maxHeldBytes = 2.5 * body.length
  const app = buildApp({ door: { by: 'Path', secret }, validate, mutate: allow, log: silentLog, maxHeldBytes })
  onTestFinished(() => app.close())
  const origin = await app.listen({ host: '127.0.0.1', port: 0 })
  const post = async (end: 'validate' | 'mutate', content: string | ReadableStream = body) => {
    const headers = { 'content-type': 'application/json' }
    const options = {
      method: 'POST',
      headers,
      body: content,
      ...(content instanceof ReadableStream && { duplex: 'half' }),
    }
    const response = await fetch(`${origin}/${secret}/${end}`, options as RequestInit)
    return { status: response.status, text: await response.text() }
  }
  return { port: Number(new URL(origin).port), secret, body, post, judging: () => judging, judge: () => resolve({}) }
}

test('what there is no memory for is refused before it is read, and taken once there is', async () => {
  const busy = await startBusy()
  const waiting = [busy.post('validate'), busy.post('validate')]
  await expect.poll(busy.judging).toBe(2)
  expect(await busy.post('mutate')).toEqual({
    status: 503,
    text: '{"message":"there is more to judge at once than the webhooks have memory for: try again in a moment"}',
  })
  busy.judge()
  expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([200, 200])
  for (let count = 0; count < 10; count++) expect((await busy.post('mutate')).status).toBe(200)
})

test('a body whose size is not said counts as the largest', async () => {
  const busy = await startBusy()
  expect((await busy.post('mutate', new Blob([busy.body]).stream())).status).toBe(503)
})

test('a caller that goes in the middle of its request gives the memory back', async () => {
  const { port, secret, body, post } = await startBusy()
  for (let count = 0; count < 5; count++) {
    const socket = connect({ host: '127.0.0.1', port })
    const head = `POST /${secret}/mutate HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${2 * body.length}\r\n\r\n`
    socket.write(head + body)
    await expect.poll(async () => (await post('mutate')).status).toBe(503)
    socket.destroy()
    await once(socket, 'close')
    await expect.poll(async () => (await post('mutate')).status).toBe(200)
  }
})
