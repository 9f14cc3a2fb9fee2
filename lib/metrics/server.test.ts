import { request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { silentLog } from '../log.ts'
import { newAuthority, type Authority, type Identity } from '../tls/authority.ts'
import { serveMetrics, type MetricsServer } from './server.ts'

let authority: Authority
let serving: MetricsServer
let isBroken = false

beforeAll(async () => {
  authority = await newAuthority('ours')
  const { certificate, key } = await authority.issue({ commonName: 'x', dnsNames: ['controllers'], usages: ['Server'] })
  serving = await serveMetrics({
    metrics: {
      contentType: 'text/plain; version=0.0.4',
      render: () => (isBroken ? Promise.reject(new Error('secret of the inside')) : Promise.resolve('up 1\n')),
    },
    listen: '127.0.0.1',
    port: 0,
    tls: { cert: certificate, key, ca: authority.certificate, requestCert: true, rejectUnauthorized: true },
    readers: ['holdfast-metrics'],
    log: silentLog,
  })
})
afterAll(async () => serving[Symbol.asyncDispose]())

async function ask(identity: Partial<Identity>, path = '/metrics', method = 'GET') {
  const { port } = serving.server.address() as AddressInfo
  const { certificate: cert, key } = identity
  const options = {
    host: '127.0.0.1',
    port,
    path,
    method,
    cert,
    key,
    ca: authority.certificate,
    servername: 'controllers',
  }
  return new Promise<{ status: number | undefined; type: string | undefined; body: string }>((resolve, reject) => {
    const asked = request({ ...options, agent: false }, (response) => {
      response
        .setEncoding('utf8')
        .toArray()
        .then(
          (chunks) =>
            resolve({ status: response.statusCode, type: response.headers['content-type'], body: chunks.join('') }),
          reject,
        )
    })
    asked.on('error', reject)
    asked.end()
  })
}

test('Metrics are told to the holder of a certificate that may read them', async () => {
  const reader = await authority.issue({ commonName: 'holdfast-metrics', usages: ['Client'] })
  expect(await ask(reader)).toEqual({ status: 200, type: 'text/plain; version=0.0.4', body: 'up 1\n' })
  expect(await ask(reader, '/metrics?now')).toMatchObject({ status: 200 })
})

test.each([
  ['/', 'GET', 404],
  ['/healthz', 'GET', 404],
  ['/metrics', 'POST', 405],
  ['/metrics/../x', 'GET', 404],
])('There is nothing else: %s by %s is %i', async (path, method, status) => {
  const reader = await authority.issue({ commonName: 'holdfast-metrics', usages: ['Client'] })
  expect(await ask(reader, path, method)).toMatchObject({ status })
})

test('Nobody else reads them: not with another name, not of another authority, not with no certificate', async () => {
  const other = await authority.issue({ commonName: 'holdfast-controllers', usages: ['Client'] })
  expect(await ask(other)).toMatchObject({ status: 403 })
  const stranger = await (await newAuthority('theirs')).issue({ commonName: 'holdfast-metrics', usages: ['Client'] })
  await expect(ask(stranger)).rejects.toThrow(/alert|ECONNRESET|hang up|EPIPE/)
  await expect(ask({})).rejects.toThrow(/alert|ECONNRESET|hang up|EPIPE/)
  const server = await authority.issue({ commonName: 'holdfast-metrics', usages: ['Server'] })
  await expect(ask(server)).rejects.toThrow(/alert|ECONNRESET|hang up|EPIPE/)
})

test('A failure is told without what is inside', async () => {
  const reader = await authority.issue({ commonName: 'holdfast-metrics', usages: ['Client'] })
  isBroken = true
  const { status, body } = await ask(reader)
  isBroken = false
  expect(status).toBe(500)
  expect(body).not.toContain('secret of the inside')
})
