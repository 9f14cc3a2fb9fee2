import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, createServer, type TLSSocket } from 'node:tls'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Clock } from '../clock.ts'
import {
  loadOrCreateAuthority,
  loadOrIssue,
  needsRenewal,
  newAuthority,
  type Authority,
  type Identity,
} from './authority.ts'

const DAY_MS = 24 * 3600 * 1000
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'authority-'))
})
afterEach(() => rm(folder, { recursive: true }))

test('an issued identity says who it is and what it is for', async () => {
  const authority = await newAuthority('test')
  const { certificate } = await authority.issue({
    commonName: 'system:serviceaccount:a:b',
    organizations: ['first, with a comma', 'second'],
    dnsNames: ['host-1'],
    ips: ['127.0.0.1'],
    usages: ['Server', 'Client'],
  })
  const found = new X509Certificate(certificate)
  expect(found.subject.split('\n')).toEqual(['O=first\\, with a comma', 'O=second', 'CN=system:serviceaccount:a:b'])
  expect(found.subjectAltName).toBe('DNS:host-1, IP Address:127.0.0.1')
  expect(found.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'])
  expect(found.ca).toBe(false)
  expect(found.checkIssued(new X509Certificate(authority.certificate))).toBe(true)
})

test('both sides of a connection prove themselves, and nobody of another authority can', async () => {
  const ours = await newAuthority('ours')
  const server = await ours.issue({ commonName: 'host-1', dnsNames: ['host-1'], usages: ['Server'] })
  const client = await ours.issue({ commonName: 'controllers', usages: ['Client'] })
  const stranger = await (await newAuthority('ours')).issue({ commonName: 'controllers', usages: ['Client'] })

  expect(await greet(ours, server, client)).toBe('controllers')
  await expect(greet(ours, server, stranger)).rejects.toThrow(/SIGNATURE|VERIFY/)
  await expect(greet(ours, server, server)).rejects.toThrow('INVALID_PURPOSE')
})

test('an authority and its identities are found again, readable by their owner alone', async () => {
  const first = await loadOrCreateAuthority(folder, 'test')
  const identity = await loadOrIssue(first, { folder, name: 'agent', ...request })
  const second = await loadOrCreateAuthority(folder, 'test')

  expect(second.certificate).toBe(first.certificate)
  expect(await loadOrIssue(second, { folder, name: 'agent', ...request })).toEqual(identity)
  for (const name of ['ca.crt', 'ca.key', 'agent.crt', 'agent.key']) {
    expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600)
  }
  const later = await second.issue(request)
  expect(new X509Certificate(later.certificate).verify(new X509Certificate(first.certificate).publicKey)).toBe(true)
})

const request = { commonName: 'host-1', dnsNames: ['host-1'], usages: ['Server'] as const }

test.each([
  ['its request changes', async () => ({ ...request, dnsNames: ['host-2'] })],
  ['its key is lost', async () => rm(join(folder, 'agent.key')).then(() => request)],
  ['its key is another one', async () => copyKey('ca', 'agent').then(() => request)],
])('an identity is issued anew when %s', async (_name, change) => {
  const authority = await loadOrCreateAuthority(folder, 'test')
  const before = await loadOrIssue(authority, { folder, name: 'agent', ...request })
  const changed = await change()
  const after = await loadOrIssue(authority, { folder, name: 'agent', ...changed })
  expect(after.certificate).not.toBe(before.certificate)
  expect(await readFile(join(folder, 'agent.crt'), 'utf8')).toBe(after.certificate)
})

test('an identity is issued anew when its authority was', async () => {
  const before = await loadOrIssue(await loadOrCreateAuthority(folder, 'test'), { folder, name: 'agent', ...request })
  await rm(join(folder, 'ca.crt'))
  const authority = await loadOrCreateAuthority(folder, 'test')
  const after = await loadOrIssue(authority, { folder, name: 'agent', ...request })
  expect(after.certificate).not.toBe(before.certificate)
  const issuer = new X509Certificate(authority.certificate)
  expect(new X509Certificate(after.certificate).verify(issuer.publicKey)).toBe(true)
})

test('an identity is renewed in the last third of its life, its authority too', async () => {
  const wanted = { folder, name: 'agent', ...request, lifetimeMs: 30 * DAY_MS }
  const authority = await loadOrCreateAuthority(folder, 'test')
  const first = await loadOrIssue(authority, wanted)
  expect(await loadOrIssue(authority, wanted, inDays(19))).toEqual(first)
  expect(await loadOrIssue(authority, wanted, inDays(21))).not.toEqual(first)

  expect((await loadOrCreateAuthority(folder, 'test', inDays(2000))).certificate).toBe(authority.certificate)
  expect((await loadOrCreateAuthority(folder, 'test', inDays(2700))).certificate).not.toBe(authority.certificate)
})

test('an identity never outlives its authority', async () => {
  const authority = await newAuthority('test')
  const { certificate } = await authority.issue({ ...request, lifetimeMs: 10_000 * DAY_MS })
  expect(new X509Certificate(certificate).validTo).toBe(new X509Certificate(authority.certificate).validTo)
})

test.each([
  [66, false],
  [67, true],
  [101, true],
])('after %d of 100 days, renewal is due: %s', (days, due) => {
  const life = { notBefore: new Date(0), notAfter: new Date(100 * DAY_MS) }
  expect(needsRenewal(life, new Date(days * DAY_MS))).toBe(due)
})

test('a torn file is an error, not a new authority', async () => {
  await loadOrCreateAuthority(folder, 'test')
  await writeFile(join(folder, 'ca.key'), '-----BEGIN')
  await expect(loadOrCreateAuthority(folder, 'test')).rejects.toThrow(/DECODER|PEM/)
})

async function copyKey(from: string, to: string): Promise<void> {
  await writeFile(join(folder, `${to}.key`), await readFile(join(folder, `${from}.key`)))
}

function inDays(days: number): Clock {
  const now = () => new Date(Date.now() + days * DAY_MS)
  return { now, monotonicMs: () => 0, sleep: async () => undefined }
}

/** Who the server says that the client is, after a handshake in which each must prove itself. */
async function greet(authority: Authority, server: Identity, client: Identity): Promise<string> {
  const ca = authority.certificate
  await using stack = new AsyncDisposableStack()
  const options = { ca, cert: server.certificate, key: server.key, requestCert: true, rejectUnauthorized: false }
  const listener = createServer(options).listen(0)
  stack.defer(() => void listener.close())
  await once(listener, 'listening')
  const outcome = new Promise<string>((resolve, reject) => {
    listener.on('secureConnection', (socket: TLSSocket) => {
      if (socket.authorized) resolve(String(socket.getPeerCertificate().subject.CN))
      else reject(new Error(String(socket.authorizationError)))
    })
  })
  const address = listener.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const socket = connect({ port, ca, cert: client.certificate, key: client.key, servername: 'host-1' })
  socket.on('error', () => undefined) // The server's word counts.
  stack.defer(() => void socket.destroy())
  return await outcome
}
