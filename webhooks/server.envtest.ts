import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { request } from 'node:https'
import { connect, createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Disk } from '../crds/disk.ts'
import type { Resource } from '../crds/kind.ts'
import { RecycledResource } from '../crds/recycled-resource.ts'
import { Kube } from '../lib/kube/client.ts'
import { objectPath } from '../lib/kube/paths.ts'
import { newAuthority } from '../lib/tls/authority.ts'
import { describeSilence } from './silence.suite.ts'
import { answerTo, change, entryOf, make, remove, settle } from './testing/people.ts'
import { startWorld, type Webhooks, type World } from './testing/world.ts'

const SECOND = 1_000
const CONFIG = { group: 'admissionregistration.k8s.io', version: 'v1', scope: 'Cluster' } as const

// Short lives: authorities change while these tests run.
const periods = { authorityMs: 12 * SECOND, overlapMs: 4 * SECOND, certificateMs: 2 * SECOND }

let world: World
let ann: Kube
let first: Webhooks
beforeAll(async () => {
  // oxlint-disable-next-line node/no-process-env -- where the programs are
  world = await startWorld(process.env)
  first = await world.startWebhooks({ periods })
  await world.install(first.port)
  ann = await world.person('ann')
})
afterAll(() => world[Symbol.asyncDispose]())

interface Answer {
  readonly status: number
  readonly body: string
}

interface Caller {
  readonly cert?: string
  readonly key?: string
}

async function post(port: number, path: string, body: string | Buffer, caller: Caller = {}): Promise<Answer> {
  const headers = { 'content-type': 'application/json' }
  const options = { host: '127.0.0.1', port, path, method: 'POST', headers, agent: false, rejectUnauthorized: false }
  const sent = request({ ...options, ...caller })
  const answered = once(sent, 'response')
  // A server that has read enough does not read the rest.
  sent.on('error', () => undefined)
  sent.end(body)
  const [response] = (await answered) as [AsyncIterable<Buffer> & { statusCode: number }]
  const chunks = await Array.fromAsync(response)
  return { status: response.statusCode, body: Buffer.concat(chunks).toString('utf8') }
}

async function apiServer(): Promise<Caller> {
  const { authority, commonName } = world.plane.webhookCaller
  const [cert, key] = await Promise.all(
    ['crt', 'key'].map((end) => readFile(join(dirname(authority), `${commonName}.${end}`), 'utf8')),
  )
  return { cert: cert ?? '', key: key ?? '' }
}

function review(more: object = {}): string {
  const resource = { group: 'storage.holdfast.dev', version: 'v1alpha1', resource: 'disks' }
  const all = { uid: 'r-1', resource, operation: 'DELETE', userInfo: { username: 'ann' }, object: null, ...more }
  return JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: all })
}

describe('Who is not the API server', () => {
  test('gets no answer without a certificate, and none with one of somebody else', async () => {
    const stranger = await (
      await newAuthority('stranger')
    ).issue({
      commonName: world.plane.webhookCaller.commonName,
      usages: ['Client'],
    })
    const folder = dirname(world.plane.webhookCaller.authority)
    const [cert, key] = await Promise.all(
      ['crt', 'key'].map((end) => readFile(join(folder, `holdfast-controllers.${end}`), 'utf8')),
    )
    const callers: Caller[] = [
      {},
      { cert: stranger.certificate, key: stranger.key },
      { cert: cert ?? '', key: key ?? '' },
    ]
    for (const caller of callers) {
      for (const path of ['/validate', '/mutate', '/healthz']) {
        const answer = await post(first.port, path, review(), caller)
        expect([path, answer.status]).toEqual([path, 401])
      }
    }
    expect((await post(first.port, '/validate', review(), await apiServer())).status).toBe(200)
  })

  test('does not find the path that a cluster without such certificates is bound to', async () => {
    const secret = 'a1'.repeat(16)
    const bound = await world.startWebhooks({ periods, door: { by: 'Path', secret } })
    expect((await post(bound.port, '/validate', review())).status).toBe(404)
    expect((await post(bound.port, `/${'a2'.repeat(16)}/validate`, review())).status).toBe(404)
    expect((await post(bound.port, `/${secret}/validate`, review())).status).toBe(200)
    await bound.stop()
  })
})

describe('A hostile body', () => {
  const deep = 200_000
  const huge = Buffer.alloc(9 * 1024 * 1024, 0x20)
  const numbers = Array.from({ length: 1_000_000 }, () => 1)
  test.each<[string, string | Buffer, number]>([
    ['that is empty', '', 400],
    ['that is no JSON', '{', 400],
    ['that is no object', '7', 400],
    ['of another version', review().replace('admission.k8s.io/v1', 'admission.k8s.io/v1beta1'), 400],
    ['with numbers for words', review({ operation: 5 }), 400],
    ['with a list for a user', review({ userInfo: [] }), 400],
    ['without a uid', review({ uid: undefined }), 400],
    ['with __proto__', '{"__proto__": {"allowed": true}, "apiVersion": "admission.k8s.io/v1"}', 400],
    ['with __proto__ written otherwise', String.raw`{"\u005f_proto__": {"allowed": true}}`, 400],
    ['with a constructor', '{"constructor": {"prototype": {"a": 1}}}', 400],
    ['that is not UTF-8', Buffer.concat([Buffer.from('{"a": "'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]), 400],
    ['that is deep', `${'['.repeat(deep)}${']'.repeat(deep)}`, 400],
    [
      'with a deep object',
      review({ oldObject: 'HERE' }).replace('"HERE"', `${'[['.repeat(1000)}${']]'.repeat(1000)}`),
      200,
    ],
    ['that is huge', huge, 413],
    ['with an object of wrong types', review({ oldObject: { kind: 'Disk', metadata: { name: 'a' }, spec: 'b' } }), 200],
    ['without the object', review({ oldObject: null }), 200],
    ['with a million wrong groups', review({ userInfo: { groups: numbers } }), 400],
    ['with a million wrong labels', review({ object: { metadata: { labels: numbers } } }), 200],
  ])('%s is answered with an error', async (_, body, status) => {
    const answer = await post(first.port, '/validate', body, await apiServer())
    expect(answer.status).toBe(status)
    // Where it can be answered at all, it is refused.
    expect(answer.body).not.toContain('"allowed":true')
    expect((await post(first.port, '/mutate', body, await apiServer())).status).toBe(status)
    expect(await answerTo(make(ann, Disk, `after-${Math.random().toString(36).slice(2, 8)}`))).toBe('accepted')
  })

  test('takes no memory that stays', async () => {
    const caller = await apiServer()
    const before = process.memoryUsage().rss
    for (let round = 0; round < 5; round++) {
      await Promise.all(
        Array.from({ length: 5 }, async () => post(first.port, '/validate', `[${'9,'.repeat(3_000_000)}9]`, caller)),
      )
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(700 * 1024 * 1024)
  })
})

describe('The certificate', () => {
  test('changes, its authority too, and at ten writes a second none fails', async () => {
    const answers: Promise<string>[] = []
    const looks: Promise<string>[] = []
    const writes = 400
    await make(ann, Disk, 'busy')
    const begunMs = performance.now()
    for (let count = 0; count < writes; count++) {
      answers.push(answerTo(change(ann, Disk, 'busy', { metadata: { annotations: { count: String(count) } } })))
      if (count % 5 === 0) looks.push(bundle())
      await sleep(Math.max(0, begunMs + ((count + 1) * SECOND) / 10 - performance.now()))
    }
    expect((writes / (performance.now() - begunMs)) * SECOND).toBeGreaterThan(9.5)
    expect((await Promise.all(answers)).filter((answer) => answer !== 'accepted')).toEqual([])
    expect(new Set(await Promise.all(looks)).size).toBeGreaterThan(2)
  }, 120_000)
})

/** Asks again what the webhooks took too long for, as whoever deletes would. */
async function untilAnswered(ask: () => Promise<unknown>): Promise<string> {
  const answer = await answerTo(ask())
  return answer.includes('context deadline exceeded') ? untilAnswered(ask) : answer
}

async function bundle(): Promise<string> {
  const path = objectPath({ ...CONFIG, plural: 'validatingwebhookconfigurations' }, { name: 'holdfast' })
  const { body } = await world.kube.send<{ webhooks: { clientConfig: { caBundle?: string } }[] }>({
    method: 'GET',
    path,
  })
  return body.webhooks[0]?.clientConfig.caBundle ?? ''
}

describe('Two replicas', () => {
  test('[DEL-18] share certificates and the brake: of N + 5 deletes at once N go through', async () => {
    const second = await world.startWebhooks({ periods })
    let turn = 0
    const balancer = createServer((socket) => {
      const port = turn++ % 2 === 0 ? first.port : second.port
      const upstream = connect({ host: '127.0.0.1', port })
      socket.pipe(upstream).pipe(socket)
      for (const side of [socket, upstream]) side.on('error', () => [socket, upstream].forEach((one) => one.destroy()))
    })
    await once(balancer.listen(0, '127.0.0.1'), 'listening')
    const address = balancer.address()
    await world.install(typeof address === 'object' && address ? address.port : 0)

    await settle(world.kube, { brake: { deletes: 8, seconds: 60 } })
    const eve = await world.person('eve')
    const names = Array.from({ length: 13 }, (_, index) => `eve-${index}`)
    const made = await Promise.all(names.map((name) => make(eve, Disk, name)))
    const answers = await Promise.all(names.map((name) => untilAnswered(async () => remove(eve, Disk, name))))
    const refused = answers.filter((answer) => answer !== 'accepted')
    expect(refused).toHaveLength(5)
    expect(new Set(refused)).toEqual(
      new Set([
        'eve deleted 8 objects of kind Disk within 60 s, and no more are let through: if that is meant, somebody with the permission bulkDelete on disks adds {person: "eve", kind: Disk, until: TIME} to spec.deletion.brakeReleases of PlatformSettings default; otherwise stop what deletes them',
      ]),
    )
    const entries = await Promise.all(made.map(({ metadata }) => entryOf(world.kube, metadata.uid)))
    expect(entries.filter((entry) => entry !== undefined)).toHaveLength(8)

    // Of one person on one kind; what was deleted may be deleted again.
    const again = names[answers.indexOf('accepted')] ?? ''
    expect(await answerTo(remove(eve, Disk, again))).toBe('accepted')
    await make(ann, Disk, 'of-ann')
    expect(await answerTo(remove(ann, Disk, 'of-ann'))).toBe('accepted')

    const left = names[answers.findIndex((answer) => answer !== 'accepted')] ?? ''
    const until = new Date(Date.now() + 60 * SECOND).toISOString()
    const brakeReleases = [{ person: 'eve', kind: 'Disk', until }]
    expect(await answerTo(settle(eve, { brakeReleases }))).toBe(
      'eve may not release the brake on those who delete objects of kind Disk: ask for the permission bulkDelete on disks',
    )
    await settle(world.kube, { brake: { deletes: 8, seconds: 60 }, brakeReleases })
    await expect.poll(async () => answerTo(remove(eve, Disk, left)), { timeout: 5_000 }).toBe('accepted')

    await world.install(first.port)
    await second.stop()
    balancer.close()
  })
})

describe('The brake', () => {
  test('[DEL-18] lets everything through at once that a holder of bulkDelete deletes', async () => {
    const ops = await world.person('ops', ['bulkDelete'])
    const names = Array.from({ length: 30 }, (_, index) => `ops-${index}`)
    await Promise.all(names.map((name) => make(ops, Disk, name)))
    const answers = await Promise.all(names.map((name) => answerTo(remove(ops, Disk, name))))
    expect(answers.filter((answer) => answer !== 'accepted')).toEqual([])
  })
})

describe('The brake on purges', () => {
  test('[DEL-18] stops who purges many entries by hand, and counts each of them once', async () => {
    await settle(world.kube, { brake: { deletes: 3, seconds: 60 } })
    const ops = await world.person('purger-ops', ['bulkDelete', 'purge'])
    const eve = await world.person('purger', ['purge'])
    const names = Array.from({ length: 6 }, (_, index) => `purged-${index}`)
    const made = await Promise.all(names.map((name) => make(ops, Disk, name)))
    await Promise.all(names.map((name) => remove(ops, Disk, name)))

    const say = async (kube: Kube, index: number, action: 'Purge' | null) =>
      answerTo(change(kube, RecycledResource, made[index]?.metadata.uid ?? '', { spec: { action } }))
    for (const action of ['Purge', null, 'Purge'] as const) expect(await say(eve, 0, action)).toBe('accepted')
    for (const index of [1, 2]) expect(await say(eve, index, 'Purge')).toBe('accepted')
    expect(await say(eve, 3, 'Purge')).toBe(
      'purger purged 3 entries of the recycle bin within 60 s, and no more are let through: if that is meant, somebody with the permission bulkDelete on recycledresources adds {person: "purger", kind: RecycledResource, until: TIME} to spec.deletion.brakeReleases of PlatformSettings default; otherwise stop what purges them',
    )
    expect((await entryOf(world.kube, made[3]?.metadata.uid ?? ''))?.spec.action).toBeUndefined()
    expect(await say(eve, 2, null)).toBe('accepted')
    expect(await say(ops, 3, 'Purge')).toBe('accepted')

    const until = new Date(Date.now() + 60 * SECOND).toISOString()
    const brakeReleases = [{ person: 'purger', kind: 'RecycledResource', until }]
    await settle(world.kube, { brake: { deletes: 3, seconds: 60 }, brakeReleases })
    await expect.poll(async () => say(eve, 4, 'Purge'), { timeout: 5_000 }).toBe('accepted')
    await settle(world.kube, {})
  })
})

describe('Another owner, with which an object would go', () => {
  test('[DEL-18] [REM-06] counts for the brake, and is confirmed where a delete is', async () => {
    await settle(world.kube, { brake: { deletes: 3, seconds: 60 } })
    const eve = await world.person('adopter', ['setDeletionPolicy'])
    const owner = { apiVersion: 'v1', kind: 'Namespace', name: 'gone', uid: '10000000-0000-4000-8000-00000000dead' }
    const metadata = { ownerReferences: [owner] }
    const names = Array.from({ length: 5 }, (_, index) => `adopted-${index}`)
    await Promise.all(names.map((name) => make(eve, Disk, name)))
    await make(eve, Disk, 'burnt', { spec: { deletionPolicy: 'Immediate' } })
    const unconfirmed = await answerTo(change(eve, Disk, 'burnt', { metadata }))
    expect(unconfirmed).toMatch(
      /^an object goes with its owners, so another one counts as a delete: this delete has to be confirmed: Disk default\/burnt is destroyed at once\./,
    )
    const [, token = ''] = /confirm-delete=([0-9a-f]{8})/.exec(unconfirmed) ?? []
    const annotations = { 'holdfast.dev/confirm-delete': token }
    expect(await answerTo(change(eve, Disk, 'burnt', { metadata: { ...metadata, annotations } }))).toBe('accepted')

    const answers: string[] = []
    for (const name of names) answers.push(await answerTo(change(eve, Disk, name, { metadata })))
    const refusal = expect.stringMatching(
      /^an object goes with its owners, so another one counts as a delete: adopter deleted 3 objects of kind Disk within 60 s/,
    )
    expect(answers).toEqual(['accepted', 'accepted', refusal, refusal, refusal])
    await settle(world.kube, {})
  })
})

describe('Without webhooks', () => {
  test('writes of our kinds are refused within 5 s, others go on, and so do ours once they are back', async () => {
    await make(ann, Disk, 'waits')
    await first.stop()
    for (const [write, refusal] of [
      [async () => remove(ann, Disk, 'waits'), /failed calling webhook "kinds\.holdfast\.dev"/],
      [async () => make(ann, Disk, 'new'), /failed calling webhook "(owners|kinds)\.holdfast\.dev"/],
    ] as const) {
      const begunMs = performance.now()
      expect(await answerTo(write())).toMatch(refusal)
      expect(performance.now() - begunMs).toBeLessThan(5 * SECOND)
    }
    const namespace = { metadata: { name: 'passing' } }
    await ann.send({ method: 'POST', path: '/api/v1/namespaces', body: namespace })
    await ann.send({ method: 'DELETE', path: '/api/v1/namespaces/passing' })

    // Our controllers report all the same, and take finalizers off.
    const path = objectPath(Disk, { namespace: 'default', name: 'waits' })
    await using controllers = await Kube.connect(world.plane.controllersKubeconfig)
    const { body } = await controllers.send<Resource<typeof Disk>>({ method: 'GET', path })
    const status = { ...body.status, host: 'host-a' }
    await controllers.send({ method: 'PUT', path: `${path}/status`, body: { ...body, status } })
    const contentType = 'application/merge-patch+json'
    await controllers.send({ method: 'PATCH', path, contentType, body: { metadata: { annotations: { seen: 'yes' } } } })

    first = await world.startWebhooks({ periods, port: first.port })
    await expect.poll(async () => answerTo(remove(ann, Disk, 'waits')), { timeout: 20_000 }).toBe('accepted')
  })
})

// A control plane takes longer to start than these tests take.
describeSilence(() => ({ world, webhooks: first }))
