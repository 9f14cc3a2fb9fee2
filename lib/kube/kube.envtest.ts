import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { load } from 'js-yaml'
import { afterEach, beforeEach, expect, inject, test } from 'vitest'
import type { Resource } from '../../crds/kind.ts'
import { systemClock } from '../clock.ts'
import { silentLog } from '../log.ts'
import { ObjectCache } from './cache.ts'
import { Kube } from './client.ts'
import { KubeError, toKubeError } from './errors.ts'
import { eventRecorder } from './events.ts'
import { collectionPath, objectPath } from './paths.ts'
import { runReflector } from './reflector.ts'
import { serveThings, Thing } from './testing.ts'
import { objectWriter, type Manifest, type ObjectWriter, type StatusChange } from './writer.ts'

let stack: AsyncDisposableStack
let kube: Kube
let namespace: string
let writer: ObjectWriter<typeof Thing>

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  kube = stack.use(await Kube.connect(inject('kubeconfig')))
  namespace = await serveThings(kube)
  writer = objectWriter(kube, Thing, 'test')
})
afterEach(() => stack.disposeAsync())

const FINALIZER = 'test.dev/own'

function manifest(name: string, spec: Manifest<typeof Thing>['spec'] = {}): Manifest<typeof Thing> {
  return { metadata: { namespace, name, finalizers: [FINALIZER] }, spec: { size: '1Gi', ...spec } }
}

/** A cache of all Things that follows the server, with all that it told of this test's. */
function follow(client: Pick<Kube, 'send' | 'stream'> = kube) {
  const cache = new ObjectCache<Thing>({})
  const told: string[] = []
  cache.onChange((before, after) => {
    const object = after ?? before
    if (object?.metadata.namespace !== namespace) return
    const what = before && after ? 'changed' : after ? 'added' : 'deleted'
    told.push(`${what} ${object.metadata.name} ${object.spec.size}`)
  })
  const abort = new AbortController()
  const { signal } = abort
  const ended = runReflector({ kube: client, kind: Thing, cache, log: silentLog, clock: systemClock, signal })
  stack.defer(async () => {
    abort.abort()
    await ended
  })
  const names = () => cache.list().flatMap(({ metadata }) => (metadata.namespace === namespace ? metadata.name : []))
  return { cache, told, names }
}

/** A change of a status that had nothing. */
function to(host: string): StatusChange<Thing> {
  return { from: {}, to: { host } }
}

async function removeFor(finalizers: ObjectWriter<typeof Thing>, object: Thing): Promise<void> {
  await finalizers.delete(object.metadata)
  const { body } = await kube.send<Thing>({ method: 'GET', path: objectPath(Thing, object.metadata) })
  await finalizers.removeFinalizer(body, FINALIZER)
}

test('a cache follows what is made, changed, deleted and made again under one name', async () => {
  const early = await writer.create(manifest('early'))
  const { cache, told, names } = follow()
  await cache.synced
  expect(names()).toEqual(['early'])
  const first = await writer.create(manifest('a'))
  await writer.apply(manifest('a', { size: '2Gi' }))
  await removeFor(writer, first)
  const second = await writer.create(manifest('a', { size: '3Gi' }))
  await expect.poll(() => cache.get(`${namespace}/a`)?.metadata.uid).toBe(second.metadata.uid)
  expect(told.filter((line) => !line.startsWith('changed'))).toEqual([
    'added early 1Gi',
    'added a 1Gi',
    'deleted a 2Gi',
    'added a 3Gi',
  ])
  expect(cache.get(`${namespace}/early`)).toEqual(early)
})

test('a cache takes the answers to our own writes, and their events change nothing more', async () => {
  const { cache, told } = follow()
  await cache.synced
  const own = objectWriter(kube, Thing, 'test', cache)
  const made = await own.create(manifest('a'))
  expect(cache.get(`${namespace}/a`)).toEqual(made)
  const stored = await own.changeStatus(made, to('h'))
  expect(cache.get(`${namespace}/a`)).toEqual(stored)
  await own.delete(stored.metadata)
  await expect.poll(() => cache.get(`${namespace}/a`)?.metadata.deletionTimestamp).toBeDefined()
  await own.removeFinalizer(cache.get(`${namespace}/a`) ?? stored, FINALIZER)
  expect(cache.get(`${namespace}/a`)).toBeUndefined()
  await own.create(manifest('later'))
  await sleep(200) // All events are here now.
  expect(told).toEqual(['added a 1Gi', 'changed a 1Gi', 'changed a 1Gi', 'deleted a 1Gi', 'added later 1Gi'])
})

test('a reflector pages through a long list where it cannot be streamed, and then watches', async () => {
  const all = Array.from({ length: 510 }, (_, index) => `d${String(index).padStart(3, '0')}`)
  for (let start = 0; start < all.length; start += 50) {
    await Promise.all(all.slice(start, start + 50).map((name) => writer.create(manifest(name))))
  }
  const old: Pick<Kube, 'send' | 'stream'> = {
    send: (call) => kube.send(call),
    stream(call, signal) {
      if (call.query?.['sendInitialEvents'] === true) throw new KubeError('Invalid', 'an old server')
      return kube.stream(call, signal)
    },
  }
  const { cache, names } = follow(old)
  await cache.synced
  expect(names().toSorted()).toEqual(all)
  await writer.create(manifest('later'))
  await expect.poll(names).toContain('later')
})

test('a status is written on top of the version that was read, and of that object only', async () => {
  const made = await writer.create(manifest('a'))
  const stored = await writer.changeStatus(made, to('h'))
  await expect(writer.changeStatus(made, to('other'))).rejects.toMatchObject({ code: 'Conflict' })
  await removeFor(writer, stored)
  const again = await writer.create(manifest('a'))
  await expect(writer.changeStatus(made, to('h'))).rejects.toMatchObject({ code: 'Conflict' })
  await expect(writer.addFinalizer(made, 'test.dev/other')).rejects.toMatchObject({ code: 'Conflict' })
  await removeFor(writer, again)
  await expect(writer.changeStatus(again, to('h'))).rejects.toMatchObject({ code: 'NotFound' })
  await expect(kube.send({ method: 'GET', path: objectPath(Thing, made.metadata) })).rejects.toMatchObject({
    code: 'NotFound',
  })
})

test('of a status only what is to change changes, and a field goes whoever else owns it', async () => {
  const other = objectWriter(kube, Thing, 'other')
  const made = await writer.create(manifest('a', { size: '2Gi' }))
  const ours = await writer.changeStatus(made, { from: {}, to: { host: 'h' } })
  const both = await other.changeStatus(ours, { from: {}, to: { host: 'h', zone: 'theirs' } })
  const moved = await writer.changeStatus(both, { from: { host: 'h' }, to: { host: 'i' } })
  expect(moved.status).toEqual({ host: 'i', zone: 'theirs' })
  const gone = await writer.changeStatus(moved, { from: moved.status ?? {}, to: { host: 'i' } })
  expect(gone.status).toEqual({ host: 'i' })
  expect(gone.spec).toEqual({ size: '2Gi' })
})

test('applying what is there already does not move the version', async () => {
  const first = await writer.apply(manifest('a'))
  const second = await writer.apply(manifest('a'))
  expect([first.changed, second.changed]).toEqual([true, false])
  const stored = await writer.changeStatus(second.object, to('h'))
  const again = await writer.changeStatus(stored, to('h')) // As when the cache is behind.
  expect(again.metadata.resourceVersion).toBe(stored.metadata.resourceVersion)
})

test('an object is gone when the last of its finalizers was taken off, and not before', async () => {
  const made = await writer.create(manifest('a'))
  expect(made.metadata.finalizers).toEqual([FINALIZER])
  const more = await writer.addFinalizer(made, 'test.dev/other')
  expect(more?.metadata.finalizers).toEqual([FINALIZER, 'test.dev/other'])
  expect(await writer.delete(made.metadata, { uid: made.metadata.uid })).toBe('accepted')
  const { body: dying } = await kube.send<Thing>({ method: 'GET', path: objectPath(Thing, made.metadata) })
  const one = await writer.removeFinalizer(dying, FINALIZER)
  expect(one?.metadata.finalizers).toEqual(['test.dev/other'])
  expect(one && (await writer.removeFinalizer(one, 'test.dev/other'))).toBeUndefined()
  expect(one && (await writer.removeFinalizer(one, 'test.dev/other'))).toBeUndefined()
})

test('a delete with a uid spares another object of the name', async () => {
  const first = await writer.create(manifest('a'))
  await removeFor(writer, first)
  const uid = { uid: first.metadata.uid }
  expect(await writer.delete(first.metadata, uid)).toBe('gone')
  const second = await writer.create(manifest('a'))
  expect(await writer.delete(first.metadata, uid)).toBe('replaced')
  const { body } = await kube.send<Thing>({ method: 'GET', path: objectPath(Thing, second.metadata) })
  expect(body.metadata.deletionTimestamp).toBeUndefined()
})

test('events are stored once, about namespaced objects and others', async () => {
  const record = async () => {
    const recorder = eventRecorder({
      kube,
      clock: systemClock,
      log: silentLog,
      controller: 'test.dev/t',
      instance: 'i',
    })
    recorder.record({ object: made, type: 'Normal', reason: 'Ready', message: 'It is ready', action: 'Reconcile' })
    recorder.record({
      object: whole.body,
      type: 'Warning',
      reason: 'Full',
      message: 'ü'.repeat(900),
      action: 'Reconcile',
    })
    await recorder.flush()
  }
  const made = await writer.create(manifest('a'))
  const whole = await kube.send<Resource>({ method: 'GET', path: `/api/v1/namespaces/${namespace}` })
  await record()
  await record()
  const stored = async (within: string, { uid }: { uid: string }) => {
    const events = { group: 'events.k8s.io', version: 'v1', plural: 'events', scope: 'Namespaced' } as const
    const { body } = await kube.send<{ items: { reason: string; type: string; regarding: { uid: string } }[] }>({
      method: 'GET',
      path: collectionPath(events, within),
    })
    return body.items.filter(({ regarding }) => regarding.uid === uid).map(({ type, reason }) => `${type} ${reason}`)
  }
  expect(await stored(namespace, made.metadata)).toEqual(['Normal Ready'])
  expect(await stored('default', whole.body.metadata)).toEqual(['Warning Full'])
})

test('the server says what is wrong by codes, and what is odd by warnings', async () => {
  await writer.create(manifest('a'))
  await expect(writer.create(manifest('a'))).rejects.toMatchObject({ code: 'AlreadyExists' })
  await expect(writer.create(manifest('b', { size: '4 GB' }))).rejects.toMatchObject({ code: 'Invalid' })
  await expect(writer.apply(manifest('a', { size: '1Mi' }))).rejects.toMatchObject({ code: 'Invalid' })
  await expect(kube.send({ method: 'GET', path: '/apis/no.such/v1/things' })).rejects.toMatchObject({
    code: 'NotFound',
  })
  const body = { apiVersion: 'test.dev/v1', kind: 'Thing', metadata: { name: 'c' }, spec: { colour: 'red' } }
  const { warnings } = await kube.send({ method: 'POST', path: collectionPath(Thing, namespace), body })
  expect(warnings).toEqual(['unknown field "spec.colour"'])
  const controllers = stack.use(await Kube.connect(inject('controllersKubeconfig')))
  await expect(controllers.send({ method: 'DELETE', path: `/api/v1/namespaces/${namespace}` })).rejects.toMatchObject({
    code: 'Forbidden',
  })
})

test('a watch from a version that never was or is no longer known has expired', async () => {
  const query = { watch: true, resourceVersion: '1' }
  const lines = kube.stream({ path: collectionPath(Thing), query }, new AbortController().signal)
  const seen = async () => {
    for await (const line of lines) throw toKubeError(410, (line as { object: unknown }).object)
  }
  await expect(seen()).rejects.toMatchObject({ code: 'Expired' })
})

interface Config {
  clusters: unknown
  contexts: unknown
  'current-context': string
  users: { name: string; user: Record<string, string> }[]
}

test('a login program proves who the caller is', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'exec-'))
  stack.defer(() => rm(folder, { recursive: true }))
  const config = load(await readFile(inject('kubeconfig'), 'utf8')) as Config
  const [{ name, user }] = config.users as [Config['users'][number]]
  const decode = (base64 = '') => Buffer.from(base64, 'base64').toString()
  const status = {
    clientCertificateData: decode(user['client-certificate-data']),
    clientKeyData: decode(user['client-key-data']),
  }
  const apiVersion = 'client.authentication.k8s.io/v1'
  const answer = join(folder, 'answer.json')
  await writeFile(answer, JSON.stringify({ apiVersion, kind: 'ExecCredential', status }))
  const exec = { apiVersion, command: '/bin/cat', args: [answer], interactiveMode: 'Never' }
  const path = join(folder, 'kubeconfig')
  await writeFile(path, JSON.stringify({ ...config, users: [{ name, user: { exec } }] }))
  const someone = stack.use(await Kube.connect(path))
  expect(await someone.send({ method: 'GET', path: `/api/v1/namespaces/${namespace}` })).toMatchObject({ status: 200 })
})
