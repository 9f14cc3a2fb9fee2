import { randomUUID } from 'node:crypto'
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { InjectOptions } from 'fastify'
import { describe, expect, test } from 'vitest'
import { silentLog } from '../lib/log.ts'
import type { DesiredMachine, HostAgent, ObservedMachine } from './contract.ts'
import { AgentError } from './errors.ts'
import { newDesired } from './machine/testing.ts'
import { buildApp } from './server.ts'
import { openTerms, type Terms } from './terms.ts'
import { anyTerms, fakeAgent, observedAs, someMetrics } from './testing-contract.ts'

interface World {
  readonly agent?: Partial<HostAgent>
  readonly caller?: string | undefined
  readonly terms?: Terms
  /** Of the caller; without one: none. */
  readonly term?: string | undefined
}

/** Sends one request, and returns its status and what it says. */
async function ask(request: InjectOptions, { agent = {}, terms = anyTerms, ...world }: World = {}) {
  const caller = 'caller' in world ? world.caller : 'holdfast-controllers'
  const app = buildApp({
    agent: fakeAgent(agent),
    log: silentLog,
    terms,
    clientNames: ['holdfast-controllers', 'holdfast-local'],
    ...someMetrics,
    callerOf: () => caller,
  })
  const term = 'term' in world ? world.term : '1'
  const headers = { ...(term !== undefined && { 'holdfast-term': term }), ...request.headers }
  const { statusCode, body } = await app.inject({ ...request, headers })
  await app.close()
  return { status: statusCode, body: JSON.parse(body) as { code?: string; message?: string; details?: unknown } }
}

const machine = newDesired()
const put = (body: unknown, url = `/v1/machines/${machine.id}`): InjectOptions => ({
  method: 'PUT',
  url,
  payload: JSON.stringify(body),
  headers: { 'content-type': 'application/json' },
})

test('Machine that is put comes to the agent as it was sent, with the time to wait', async () => {
  const got: { desired: DesiredMachine; waitMs: number | undefined }[] = []
  const putMachine = async (desired: DesiredMachine, waitMs?: number): Promise<ObservedMachine> => {
    got.push({ desired, waitMs })
    return observedAs(desired)
  }
  const answer = await ask(put({ ...machine, surprise: 1 }, `/v1/machines/${machine.id}?waitMs=50`), {
    agent: { putMachine },
  })
  expect(answer).toEqual({ status: 200, body: observedAs(machine) })
  await ask(put(machine), { agent: { putMachine } })
  expect(got).toEqual([
    { desired: machine, waitMs: 50 },
    { desired: machine, waitMs: 0 },
  ])
})

test.each([
  ['is no object', [], /expected object/],
  ['is nothing', null, /expected object/],
  ['lacks a field', { ...machine, cpus: undefined }, /at cpus/],
  ['has a field of another type', { ...machine, memoryBytes: '4 GB' }, /at memoryBytes/],
  ['has an epoch of 0', { ...machine, decision: { ...machine.decision, epoch: 0 } }, /at decision\.epoch/],
  ['has a name of 10 kB', { ...machine, name: 'x'.repeat(10_000) }, /at name/],
  ['has a machine type with options', { ...machine, machineType: 'q35,accel=kvm' }, /at machineType/],
  ['has a MAC address that is none', { ...machine, macs: ['52:54:00'] }, /at macs\[0\]/],
  [
    'has more disks than fit',
    { ...machine, disks: Array.from({ length: 18 }, () => ({ id: machine.id, storage: 'a' })) },
    /at disks/,
  ],
  ['is of another id', { ...machine, id: randomUUID() }, /the id in the path is/],
])('Machine that %s is refused, and says where', async (_why, body, message) => {
  const answer = await ask(put(body))
  expect(answer).toMatchObject({ status: 400, body: { code: 'BAD_REQUEST', message: expect.stringMatching(message) } })
})

test.each([
  ['is no JSON', '{"id":', 'application/json', 400],
  ['is empty', '', 'application/json', 400],
  ['would change every object', `{"__proto__":{"power":"Running"},"id":"${machine.id}"}`, 'application/json', 400],
  ['would change a constructor', `{"constructor":{"prototype":{"power":1}}}`, 'application/json', 400],
  ['is larger than 256 KiB', JSON.stringify({ name: 'x'.repeat(256 * 1024) }), 'application/json', 413],
  ['is a form', 'id=1', 'application/x-www-form-urlencoded', 415],
])('Body that %s is refused', async (_why, payload, type, status) => {
  const { url } = put(machine)
  const answer = await ask({ method: 'PUT', url: url ?? '', payload, headers: { 'content-type': type } })
  expect(answer).toMatchObject({ status, body: { code: 'BAD_REQUEST' } })
  expect(Object.getOwnPropertyNames(Object.prototype)).not.toContain('power')
})

test.each([
  ['GET', '/'],
  ['GET', '/v1/machines/'],
  ['DELETE', `/v1/machines/${machine.id}`],
  ['GET', '/v2/host'],
  ['HEAD', '/v1/host'],
  ['GET', '/v1/../v1/hosts'],
  ['GET', '/__proto__'],
] as const)('Path that is none is not found: %s %s', async (method, url) => {
  const deps = { agent: fakeAgent(), log: silentLog, terms: anyTerms, ...someMetrics }
  const app = buildApp({ ...deps, clientNames: ['a'], callerOf: () => 'a' })
  expect((await app.inject({ method, url })).statusCode).toBe(404)
})

test.each([
  ['is longer than any name', `/v1/storages/${'x'.repeat(10_000)}`, 414],
  ['is not encoded rightly', '/v1/storages/%zz', 400],
])('Path that %s is refused', async (_why, url, status) => {
  expect(await ask(put({}, url))).toMatchObject({ status, body: { code: 'BAD_REQUEST' } })
})

test.each([
  ['is no UUID', put(machine, '/v1/machines/..%2F..%2Fetc')],
  ['is no number', put(machine, `/v1/machines/${machine.id}?waitMs=soon`)],
  ['is longer than a caller may wait', put(machine, `/v1/machines/${machine.id}?waitMs=60001`)],
  ['is given twice', put(machine, `/v1/machines/${machine.id}?waitMs=1&waitMs=2`)],
  ['is of another storage', put({ name: 'slow', path: '/srv' }, '/v1/storages/fast')],
  ['is a path out of the storage', { method: 'DELETE', url: '/v1/storages/fast/disks/..%2Fx' } as const],
])('Parameter that %s is refused', async (_why, request) => {
  expect(await ask(request)).toMatchObject({ status: 400, body: { code: 'BAD_REQUEST' } })
})

test.each([undefined, '', 'holdfast', 'holdfast-controllers2', 'HOLDFAST-LOCAL'])(
  'Caller %s may give no orders, and learns of no path',
  async (caller) => {
    for (const url of ['/v1/host', '/v1/nothing']) {
      const answer = await ask({ method: 'GET', url }, { caller })
      expect(answer).toMatchObject({ status: 403, body: { code: 'BAD_REQUEST' } })
    }
  },
)

test.each(['holdfast-controllers', 'holdfast-local'])('Caller %s may give orders', async (caller) => {
  expect((await ask({ method: 'GET', url: '/v1/host' }, { caller })).status).toBe(200)
})

describe('Term', () => {
  const stopGuests: InjectOptions = { method: 'POST', url: '/v1/host/stop-guests' }

  test('that is older than one before is refused with the newer one, and nothing is done', async () => {
    const orders: DesiredMachine[] = []
    const putMachine = async (desired: DesiredMachine) => {
      orders.push(desired)
      return observedAs(desired)
    }
    await using folder = await mkdtempDisposable(join(tmpdir(), 'hf-terms-'))
    const world = { agent: { putMachine }, terms: await openTerms(join(folder.path, 'term.json'), silentLog) }
    expect(await ask(put(machine), { ...world, term: '7' })).toMatchObject({ status: 200 })
    for (const request of [put(machine), stopGuests]) {
      expect(await ask(request, { ...world, term: '6' })).toMatchObject({
        status: 409,
        body: { code: 'STALE_TERM', details: { term: 7 } },
      })
    }
    expect(await ask(put(machine), { ...world, term: '7' })).toMatchObject({ status: 200 })
    expect(orders).toHaveLength(2)
  })

  test('counts from the first look on, and refuses nobody who only looks', async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'hf-terms-'))
    const world = { terms: await openTerms(join(folder.path, 'term.json'), silentLog) }
    const look = { method: 'GET', url: '/v1/host' } as const
    expect(await ask(look, { ...world, term: '3' })).toMatchObject({ status: 200 })
    expect(await ask(look, { ...world, term: '2' })).toMatchObject({ status: 200 })
    expect(await ask(put(machine), { ...world, term: '2' })).toMatchObject({
      status: 409,
      body: { details: { term: 3 } },
    })
  })

  test.each([
    ['a machine', put(machine)],
    ['a storage', put({ name: 'fast', path: '/srv' }, '/v1/storages/fast')],
    ['the end of a disk', { method: 'DELETE', url: `/v1/storages/fast/disks/${machine.id}` } as const],
    ['a look at an image', { method: 'POST', url: '/v1/images/inspect' } as const],
  ])('is needed to order %s', async (_what, request) => {
    const answer = await ask(request, { term: undefined })
    expect(answer).toMatchObject({ status: 400, body: { message: expect.stringContaining('only a leader') } })
  })

  test('is not needed to look, and to stop guests', async () => {
    for (const request of [stopGuests, { method: 'GET', url: '/v1/machines' } as const]) {
      expect(await ask(request, { term: undefined })).toMatchObject({ status: 200 })
    }
  })

  test.each(['0', '-1', '1.5', '', 'x', '4294967296', '1, 2'])('is none: "%s"', async (term) => {
    expect(await ask(put(machine), { term })).toMatchObject({ status: 400, body: { code: 'BAD_REQUEST' } })
  })
})

const details = { machineId: machine.id, decision: { id: randomUUID(), epoch: 7 } }

test.each([
  ['STALE_EPOCH', 409],
  ['DISK_CLAIMED', 409],
  ['DISK_IN_USE', 409],
  ['DISK_NOT_FOUND', 404],
  ['IMAGE_REJECTED', 422],
  ['STORAGE_UNAVAILABLE', 503],
  ['QEMU_UNAVAILABLE', 503],
  ['NO_SPACE', 507],
] as const)('Failure %s is told as %d, with its details', async (code, status) => {
  const putMachine = () => Promise.reject(new AgentError(code, 'because', { details, cause: new Error('secret') }))
  expect(await ask(put(machine), { agent: { putMachine } })).toEqual({
    status,
    body: { code, message: 'because', details },
  })
})

test('Failure that nobody expected is told without what it says', async () => {
  const host = () => Promise.reject(new Error('/root/secret'))
  const answer = await ask({ method: 'GET', url: '/v1/host' }, { agent: { host } })
  expect(answer).toEqual({ status: 500, body: { code: 'INTERNAL', message: 'the agent failed; see its log' } })
})

test("Failure for want of space on the host's own disk says so", async () => {
  const putMachine = () => Promise.reject(Object.assign(new Error('write'), { code: 'ENOSPC' }))
  expect(await ask(put(machine), { agent: { putMachine } })).toMatchObject({ status: 507, body: { code: 'NO_SPACE' } })
})

test('Answer that the contract does not know is not sent', async () => {
  const machines = async () => [{ ...observedAs(machine), state: 'Dancing' }] as unknown as ObservedMachine[]
  expect(await ask({ method: 'GET', url: '/v1/machines' }, { agent: { machines } })).toMatchObject({ status: 500 })
})

test('Disk is deleted by its storage and id, and an order without a body is one', async () => {
  const deleted: string[][] = []
  const deleteDisk = async (...which: string[]) => void deleted.push(which)
  const url = `/v1/storages/fast/disks/${machine.id}`
  expect(await ask({ method: 'DELETE', url }, { agent: { deleteDisk } })).toEqual({ status: 200, body: {} })
  expect(deleted).toEqual([['fast', machine.id]])
  expect(await ask({ method: 'POST', url: '/v1/host/stop-guests' })).toEqual({ status: 200, body: {} })
})

test('Image that is put comes to the agent with its settings, and one that is named wrongly does not', async () => {
  const sha256 = 'a'.repeat(64)
  const image = { sha256, format: 'raw', url: 'https://a/b', maxBytes: 5, allowedNetworks: ['10.0.0.0/8'] }
  const got: unknown[] = []
  const agent: Partial<HostAgent> = {
    putImage: async (...order) => {
      got.push(order)
      return { state: 'Downloading', receivedBytes: 1, totalBytes: 2 }
    },
    deleteImage: async (name) => void got.push(name),
  }
  const answer = await ask(put(image, `/v1/images/${sha256}?waitMs=7`), { agent })
  expect(answer).toEqual({ status: 200, body: { state: 'Downloading', receivedBytes: 1, totalBytes: 2 } })
  expect(await ask({ method: 'DELETE', url: `/v1/images/${sha256}` }, { agent })).toEqual({ status: 200, body: {} })
  for (const name of ['..%2F..%2Fetc', 'A'.repeat(64), 'b'.repeat(64), sha256.slice(1)]) {
    expect(await ask(put(image, `/v1/images/${name}`), { agent })).toMatchObject({ status: 400 })
  }
  expect(await ask({ method: 'DELETE', url: '/v1/images/..%2Fmachines' }, { agent })).toMatchObject({ status: 400 })
  expect(got).toEqual([[image, 7], sha256])
})

describe('Metrics of an agent', () => {
  const get = async (caller: string | undefined, request: InjectOptions, terms = anyTerms) => {
    const deps = { agent: fakeAgent(), log: silentLog, terms, ...someMetrics }
    const app = buildApp({ ...deps, clientNames: ['holdfast-controllers'], callerOf: () => caller })
    const { statusCode, headers, body } = await app.inject(request)
    return { status: statusCode, type: headers['content-type'], body }
  }

  test('are told to those who may read them, and to those who may give orders', async () => {
    const told = { status: 200, type: 'text/plain; version=0.0.4; charset=utf-8', body: 'holdfast_vm_up 1\n' }
    expect(await get('holdfast-metrics', { method: 'GET', url: '/metrics' })).toEqual(told)
    expect(await get('holdfast-controllers', { method: 'GET', url: '/metrics?x=1' })).toEqual(told)
  })

  test.each([[undefined], ['host-1'], ['holdfast-metrics2']])('are not told to %s', async (caller) => {
    expect(await get(caller, { method: 'GET', url: '/metrics' })).toMatchObject({ status: 403 })
  })

  test.each([
    ['GET', '/v1/host'],
    ['GET', '/v1/machines'],
    ['GET', '/v1/events'],
    ['PUT', `/v1/machines/${machine.id}`],
    ['POST', '/v1/host/stop-guests'],
    ['HEAD', '/metrics'],
    ['POST', '/metrics'],
    ['GET', '/metrics/'],
    ['GET', '/METRICS'],
    ['GET', '//metrics'],
  ] as const)('are all that their reader gets: not %s %s', async (method, url) => {
    expect(await get('holdfast-metrics', { method, url })).toMatchObject({ status: 403 })
  })

  test('give their reader no means to end a leadership', async () => {
    const noted: number[] = []
    const terms: Terms = { admit: async () => undefined, note: async (sent) => void noted.push(sent) }
    const headers = { 'holdfast-term': '2147483647' }
    expect(await get('holdfast-metrics', { method: 'GET', url: '/metrics', headers }, terms)).toMatchObject({
      status: 200,
    })
    expect(noted).toEqual([])
  })
})
