import { once } from 'node:events'
import { createServer, Socket, type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { silentLog } from '../lib/log.ts'
import { newAuthority, type Authority } from '../lib/tls/authority.ts'
import { connectAgent, type AgentAddress } from './client.ts'
import type { AgentEvent, HostAgent } from './contract.ts'
import { AgentError } from './errors.ts'
import { newDesired } from './machine/testing.ts'
import { buildApp } from './server.ts'
import { addressOf } from './testing.ts'
import type { Terms } from './terms.ts'
import { anyTerms, fakeAgent, observedAs, someMetrics } from './testing-contract.ts'
import { callerName } from '../lib/tls/server-files.ts'

const machine = newDesired()

interface World extends AsyncDisposable {
  readonly authority: Authority
  readonly port: number
  connect(change?: Partial<AgentAddress>): Promise<HostAgent & AsyncDisposable>
}

/** The real server, for an agent that is a fake, on a port of its own. */
async function newWorld(agent: Partial<HostAgent> = {}, terms = anyTerms): Promise<World> {
  const authority = await newAuthority('ours')
  const { certificate, key } = await authority.issue({ commonName: 'x', dnsNames: ['host-1'], usages: ['Server'] })
  const app = buildApp({
    agent: fakeAgent(agent),
    log: silentLog,
    terms,
    clientNames: ['holdfast-controllers'],
    ...someMetrics,
    callerOf: ({ raw }) => callerName(raw.socket),
    https: { cert: certificate, key, ca: authority.certificate, requestCert: true, rejectUnauthorized: true },
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const port = toPort(app.server.address())
  const open = new AsyncDisposableStack()
  open.defer(() => app.close())
  const connect = async (change: Partial<AgentAddress> = {}) =>
    open.use(connectAgent({ ...(await addressOf(authority, port)), ...change }))
  return { authority, port, connect, [Symbol.asyncDispose]: () => open.disposeAsync() }
}

test('Client and server understand each other in every call', async () => {
  await using world = await newWorld({ machines: async () => [observedAs(machine)] })
  const agent = await world.connect()
  const { id } = machine
  expect(await agent.host()).toMatchObject({ name: 'host-1', contractVersions: [1] })
  expect(await agent.machines()).toEqual([observedAs(machine)])
  expect(await agent.putMachine(machine, 10)).toEqual(observedAs(machine))
  expect(await agent.putStorage({ name: 'fast', path: '/srv' })).toMatchObject({ name: 'fast' })
  expect(await agent.putDisk({ id, storage: 'fast', sizeBytes: 5 }, 10)).toMatchObject({ id, state: 'Ready' })
  expect(await agent.inspectImage({ path: 'a b/ä.raw', format: 'raw' }, 10)).toEqual({ state: 'Checking' })
  expect(await agent.deleteDisk('fast', id)).toBeUndefined()
  expect(await agent.stopGuests()).toBeUndefined()
})

test('Client gets the code and the details of a failure', async () => {
  const details = { machineId: machine.id, decision: { id: machine.decision.id, epoch: 3 } }
  const putMachine = () => Promise.reject(new AgentError('DISK_CLAIMED', 'by another', { details }))
  await using world = await newWorld({ putMachine })
  const failed = (await world.connect()).putMachine(machine)
  await expect(failed).rejects.toBeInstanceOf(AgentError)
  await expect(failed).rejects.toMatchObject({ code: 'DISK_CLAIMED', message: 'by another', details })
})

test('Client with a certificate of another authority reaches nobody', async () => {
  await using world = await newWorld()
  const stranger = await addressOf(await newAuthority('ours'), world.port)
  const pretender = await world.connect({ tls: { ...stranger.tls, ca: world.authority.certificate } })
  await expect(pretender.host()).rejects.toMatchObject({ code: 'UNREACHABLE' })
})

test('Client trusts no server of another authority', async () => {
  await using world = await newWorld()
  const { tls } = await addressOf(world.authority, world.port)
  const wary = await world.connect({ tls: { ...tls, ca: (await newAuthority('ours')).certificate } })
  await expect(wary.host()).rejects.toMatchObject({ code: 'UNREACHABLE' })
})

test('Client that may give no orders is told so', async () => {
  await using world = await newWorld()
  const other = await world.connect(await addressOf(world.authority, world.port, 'holdfast-api'))
  await expect(other.host()).rejects.toMatchObject({ code: 'BAD_REQUEST', message: /may not give orders/ })
})

test('Client takes an answer from no other host than the one it asked for', async () => {
  await using world = await newWorld()
  const agent = await world.connect({ hostName: 'host-2' })
  await expect(agent.host()).rejects.toMatchObject({ code: 'UNREACHABLE', message: /host-2/ })
})

test('Client whose agent is gone says that it does not answer, and finds the next one', async () => {
  await using world = await newWorld()
  const agent = await world.connect({ port: 1 })
  await expect(agent.host()).rejects.toMatchObject({ code: 'UNREACHABLE' })
})

test('Client that is answered by something else says so', { timeout: 60_000 }, async () => {
  await using server = await newRawServer((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n'))
  const authority = await newAuthority('ours')
  await using agent = connectAgent(await addressOf(authority, server.port))
  await expect(agent.host()).rejects.toMatchObject({ code: 'UNREACHABLE' })
})

test('Client hears every event, in order, until it has heard enough', async () => {
  let isHeard = true
  const events = async function* events(signal: AbortSignal): AsyncGenerator<AgentEvent> {
    yield { type: 'Machine', machine: observedAs({ ...machine, name: 'ns/ä€😀' }) }
    yield { type: 'Synced' }
    for (let count = 0; count < 500; count += 1) yield { type: 'Image', path: `${count}.raw` }
    await new Promise((resolve) => {
      signal.addEventListener('abort', resolve)
    })
    isHeard = false
  }
  await using world = await newWorld({ events })
  const agent = await world.connect()
  const heard: AgentEvent[] = []
  for await (const event of agent.events(new AbortController().signal)) {
    heard.push(event)
    if (heard.length === 502) break
  }
  expect(heard[0]).toMatchObject({ machine: { name: 'ns/ä€😀' } })
  expect(heard.at(-1)).toEqual({ type: 'Image', path: '499.raw' })
  await expect.poll(() => isHeard).toBe(false)
})

test('Client that stops listening hears nothing more, and no failure', async () => {
  const end = new AbortController()
  const events = async function* events(signal: AbortSignal): AsyncGenerator<AgentEvent> {
    yield { type: 'Synced' }
    await new Promise((resolve) => {
      signal.addEventListener('abort', resolve)
    })
  }
  await using world = await newWorld({ events })
  const heard: AgentEvent[] = []
  for await (const event of (await world.connect()).events(end.signal)) {
    heard.push(event)
    setImmediate(() => end.abort())
  }
  expect(heard).toEqual([{ type: 'Synced' }])
})

test('Client is cut off in the middle of a stream, and says so', async () => {
  await using proxied = new AsyncDisposableStack()
  const events = async function* events(signal: AbortSignal): AsyncGenerator<AgentEvent> {
    yield { type: 'Synced' }
    await new Promise((resolve) => {
      signal.addEventListener('abort', resolve)
    })
  }
  const world = proxied.use(await newWorld({ events }))
  const proxy = proxied.use(await newProxy(world.port))
  const agent = await world.connect({ port: proxy.port })
  const heard = agent.events(new AbortController().signal)[Symbol.asyncIterator]()
  expect(await heard.next()).toMatchObject({ value: { type: 'Synced' } })
  proxy.cut()
  await expect(heard.next()).rejects.toMatchObject({ code: 'UNREACHABLE' })
  // The next call makes a connection of its own.
  expect(await agent.host()).toMatchObject({ name: 'host-1' })
})

test('Client is cut off while it waits for an answer, and says so', async () => {
  const asked = Promise.withResolvers<void>()
  const end = new AbortController()
  const putMachine = async () => {
    asked.resolve()
    return sleep(60_000, observedAs(machine), { signal: end.signal })
  }
  await using world = await newWorld({ putMachine })
  await using proxy = await newProxy(world.port)
  const agent = await world.connect({ port: proxy.port })
  const [answer] = await Promise.allSettled([agent.putMachine(machine, 30_000), asked.promise.then(proxy.cut)])
  expect(answer).toMatchObject({ reason: { code: 'UNREACHABLE' } })
  end.abort()
})

// These only wait.
test.concurrent('Client waits for an answer no longer than it said, and some', { timeout: 60_000 }, async () => {
  const end = new AbortController()
  await using world = await newWorld({ putMachine: () => sleep(60_000, observedAs(machine), { signal: end.signal }) })
  const agent = await world.connect()
  const begunMs = performance.now()
  await expect(agent.putMachine(machine, 100)).rejects.toMatchObject({ code: 'UNREACHABLE' })
  expect(performance.now() - begunMs).toBeLessThan(20_000)
  end.abort()
})

test.concurrent(
  'Client that is closed ends calls over connections that it has given up',
  { timeout: 60_000 },
  async () => {
    const end = new AbortController()
    await using world = await newWorld({ putMachine: () => sleep(60_000, observedAs(machine), { signal: end.signal }) })
    const agent = await world.connect()
    const long = agent.putMachine(machine, 30_000).catch((error: unknown) => error)
    await expect(agent.putMachine(machine, 0)).rejects.toMatchObject({ code: 'UNREACHABLE' })
    const begunMs = performance.now()
    await agent[Symbol.asyncDispose]()
    expect(await long).toMatchObject({ code: 'UNREACHABLE' })
    expect(performance.now() - begunMs).toBeLessThan(10_000)
    await expect(agent.host()).rejects.toMatchObject({ code: 'UNREACHABLE' })
    end.abort()
  },
)

test.concurrent('Client that hears nothing for 15 s gives up', { timeout: 60_000 }, async () => {
  const events = async function* events(signal: AbortSignal): AsyncGenerator<AgentEvent> {
    yield { type: 'Synced' }
    await new Promise((resolve) => {
      signal.addEventListener('abort', resolve)
    })
  }
  await using world = await newWorld({ events })
  const heard = (await world.connect()).events(new AbortController().signal)[Symbol.asyncIterator]()
  expect(await heard.next()).toMatchObject({ value: { type: 'Synced' } })
  const begunMs = performance.now()
  await expect(heard.next()).rejects.toMatchObject({ code: 'UNREACHABLE' })
  expect(performance.now() - begunMs).toBeGreaterThan(14_000)
})

async function newRawServer(onConnection: (socket: Socket) => void) {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined))
    onConnection(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const cut = () => {
    for (const socket of sockets) socket.destroy()
    sockets.clear()
  }
  const close = async () => {
    cut()
    server.close()
    await once(server, 'close')
  }
  return { port: toPort(address), cut, [Symbol.asyncDispose]: close }
}

function toPort(address: AddressInfo | string | null): number {
  return typeof address === 'object' ? (address?.port ?? 0) : 0
}

/** Passes on what two sides send, until it is cut. */
function newProxy(port: number) {
  return newRawServer((socket) => {
    const target = new Socket().on('error', () => undefined).connect(port, '127.0.0.1')
    socket.pipe(target).pipe(socket)
    socket.once('close', () => target.destroy())
  })
}

test('Client says in every call whose leadership it is for, and tells of a newer one', async () => {
  const admitted: number[] = []
  const terms: Terms = {
    note: async () => undefined,
    admit: async (term) => {
      if (term < 5) throw new AgentError('STALE_TERM', 'older', { details: { term: 5 } })
      admitted.push(term)
    },
  }
  await using world = await newWorld({}, terms)
  const held: number[] = []
  let term = 4
  const agent = await world.connect({ term: () => term, onStaleTerm: (found) => void held.push(found) })
  await expect(agent.putMachine(machine)).rejects.toMatchObject({ code: 'STALE_TERM', details: { term: 5 } })
  term = 6
  await agent.putMachine(machine)
  await agent.deleteDisk('fast', machine.id)
  expect([held, admitted]).toEqual([[5], [6, 6]])
})

test('Client sends nothing when there is no term any more', async () => {
  let asked = 0
  const putMachine: HostAgent['putMachine'] = async (desired) => {
    asked++
    return observedAs(desired)
  }
  await using world = await newWorld({ putMachine })
  const over = new Error('no leader')
  const term = () => {
    throw over
  }
  const agent = await world.connect({ term })
  await expect(agent.putMachine(machine)).rejects.toBe(over)
  expect(asked).toBe(0)
})
