import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Socket } from 'node:net'
import { connect, createServer, type Server, type TLSSocket } from 'node:tls'
import { once } from 'node:events'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { silentLog } from '../log.ts'
import { newAuthority, type Authority } from './authority.ts'
import { callerName, followTlsFiles, readTlsFiles, type TlsFiles } from './server-files.ts'

let folder: string
let files: TlsFiles
let authority: Authority

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hf-'))
  files = {
    certificate: join(folder, 'tls.crt'),
    key: join(folder, 'tls.key'),
    clientCa: join(folder, 'ca.crt'),
  }
  authority = await newAuthority('ours')
  await writeFile(files.clientCa, authority.certificate)
  await issue('first')
})
afterEach(async () => {
  vi.useRealTimers()
  await rm(folder, { recursive: true })
})

/** Writes a new certificate of the server. */
async function issue(commonName: string): Promise<void> {
  const { certificate, key } = await authority.issue({ commonName, dnsNames: ['host-1'], usages: ['Server'] })
  await writeFile(files.certificate, certificate)
  await writeFile(files.key, key)
}

async function listen(): Promise<{ server: Server; port: number } & AsyncDisposable> {
  const server = createServer(await readTlsFiles(files)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0
  return { server, port, [Symbol.asyncDispose]: async () => void server.close() }
}

/** Common names of the two sides of a connection, as each sees the other. */
async function meet(server: Server, port: number): Promise<{ server: unknown; client: string | undefined }> {
  const { certificate, key } = await authority.issue({ commonName: 'caller', usages: ['Client'] })
  const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
  const socket = connect({ port, ca: authority.certificate, cert: certificate, key, servername: 'host-1' })
  await once(socket, 'secureConnect')
  const [other] = await accepted
  const names = { server: socket.getPeerCertificate().subject.CN, client: callerName(other) }
  for (const each of [socket, other]) each.destroy()
  return names
}

test('Caller has the name in its certificate', async () => {
  await using listening = await listen()
  expect(await meet(listening.server, listening.port)).toEqual({ server: 'first', client: 'caller' })
})

test('Caller without a certificate of our authority has no name, and gets no connection', async () => {
  await using listening = await listen()
  const refused = once(listening.server, 'tlsClientError')
  const socket = connect({ port: listening.port, ca: authority.certificate, servername: 'host-1' })
  socket.on('error', () => undefined)
  const [error] = (await refused) as [Error]
  expect(error.message).toMatch(/certificate/)
  expect(callerName(new Socket())).toBeUndefined()
})

test('Files that change are served, and those that make no sense are not', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  await using listening = await listen()
  using follows = followTlsFiles(listening.server, files, silentLog)
  expect(follows).toBeDefined()
  const shown = async () => (await meet(listening.server, listening.port)).server
  await issue('second')
  await vi.waitFor(async () => {
    await vi.advanceTimersByTimeAsync(60_000)
    expect(await shown()).toBe('second')
  })
  await writeFile(files.certificate, 'torn')
  for (let count = 0; count < 3; count += 1) await vi.advanceTimersByTimeAsync(60_000)
  expect(await shown()).toBe('second')
  await issue('third')
  await vi.waitFor(async () => {
    await vi.advanceTimersByTimeAsync(60_000)
    expect(await shown()).toBe('third')
  })
})
