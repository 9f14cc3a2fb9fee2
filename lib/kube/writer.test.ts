import { expect, test } from 'vitest'
import { ObjectCache } from './cache.ts'
import type { Call, Kube, Reply } from './client.ts'
import { KubeError, type KubeErrorCode } from './errors.ts'
import { Thing, thing } from './testing.ts'
import { objectWriter } from './writer.ts'

/** A writer whose n-th request gets the n-th answer, with what it sent. */
function writerTo(...answers: (Thing | KubeErrorCode)[]) {
  const sent: Call[] = []
  const kube: Pick<Kube, 'send'> = {
    async send<T>(call: Call): Promise<Reply<T>> {
      sent.push(call)
      const answer = answers.shift() ?? 'Other'
      if (typeof answer === 'string') throw new KubeError(answer, 'scripted')
      return { status: 200, body: answer as T, warnings: [] }
    },
  }
  const cache = new ObjectCache<Thing>({})
  return { writer: objectWriter(kube, Thing, 'test', cache), cache, sent }
}

const deletionTimestamp = '2026-01-01T00:00:00Z'

test('a writer changes just what it is told to of a status, on top of the version that it was read from', async () => {
  const answer = { ...thing('a', 6), status: { host: 'h' } }
  Object.assign(answer.metadata, { managedFields: [] })
  const { writer, cache, sent } = writerTo(answer)
  const before = { ...thing('a', 5), status: { zone: 'z', observedGeneration: 1 } }
  const stored = await writer.changeStatus(before, { from: { zone: 'z' }, to: { host: 'h' } })
  expect(sent).toEqual([
    {
      method: 'PUT',
      path: '/apis/test.dev/v1/namespaces/shop/things/a/status',
      query: { fieldManager: 'test', fieldValidation: 'Ignore' },
      body: { ...thing('a', 5), status: { host: 'h', observedGeneration: 1 } },
    },
  ])
  expect(stored.metadata).not.toHaveProperty('managedFields')
  expect(cache.get('shop/a')).toBe(stored)
})

test('a writer sends nothing when nothing differs', async () => {
  const { writer, sent } = writerTo()
  const before = { ...thing('a', 5, { finalizers: ['x'] }), status: { host: 'h', conditions: [] } }
  const to = { conditions: [], host: 'h', observedGeneration: undefined }
  expect(await writer.changeStatus(before, { from: before.status, to })).toBe(before)
  expect(await writer.changeStatus(before, { from: {}, to: {} })).toBe(before)
  expect(await writer.changeStatus(before, { from: {}, to: { host: 'h' } })).toBe(before)
  expect(await writer.addFinalizer(before, 'x')).toBe(before)
  expect(await writer.removeFinalizer(before, 'y')).toBe(before)
  expect(sent).toEqual([])
})

test('a writer adds and takes off its finalizer and leaves the others', async () => {
  const { writer, sent } = writerTo(thing('a', 6), thing('a', 7))
  await writer.addFinalizer(thing('a', 5, { finalizers: ['x'] }), 'y')
  await writer.removeFinalizer(thing('a', 6, { finalizers: ['x', 'y', 'z'] }), 'y')
  expect(sent.map(({ body }) => body)).toEqual([
    { metadata: { uid: 'a-1', resourceVersion: '5', finalizers: ['x', 'y'] } },
    { metadata: { uid: 'a-1', resourceVersion: '6', finalizers: ['x', 'z'] } },
  ])
})

test('an object is gone when its last finalizer is, or when it was gone already', async () => {
  const before = thing('a', 5, { finalizers: ['x'], deletionTimestamp })
  const { writer, cache } = writerTo(thing('a', 5, { deletionTimestamp, finalizers: [] }), 'NotFound')
  cache.put(before)
  expect(await writer.removeFinalizer(before, 'x')).toBeUndefined()
  expect(cache.size).toBe(0)
  expect(await writer.removeFinalizer(before, 'x')).toBeUndefined()
})

test('a writer says whether applying changed anything', async () => {
  const manifest = { metadata: { namespace: 'shop', name: 'a' }, spec: {} }
  const { writer } = writerTo(thing('a', 5), thing('a', 5), thing('a', 5), thing('a', 6), 'NotFound', thing('a', 7))
  const changes = []
  for (let turn = 0; turn < 3; turn++) changes.push((await writer.apply(manifest)).changed)
  expect(changes).toEqual([false, true, true])
})

test.each<[string, (Thing | KubeErrorCode)[], string]>([
  ['deleted', [thing('a', 6)], 'accepted'],
  ['gone', ['NotFound'], 'gone'],
  ['another one', ['Conflict', thing('a', 9, { uid: 'a-2' })], 'replaced'],
  ['gone while it was being looked at', ['Conflict', 'NotFound'], 'gone'],
])('a writer that deletes one object says that it is %s', async (_name, answers, expected) => {
  const { writer } = writerTo(...answers)
  expect(await writer.delete({ namespace: 'shop', name: 'a' }, { uid: 'a-1' })).toBe(expected)
})

test('a writer throws what it cannot explain', async () => {
  const { writer } = writerTo('Conflict', thing('a', 9), 'Forbidden', 'Conflict', 'Unreachable')
  const ref = { namespace: 'shop', name: 'a' }
  await expect(writer.delete(ref, { uid: 'a-1' })).rejects.toMatchObject({ code: 'Conflict' })
  await expect(writer.delete(ref)).rejects.toMatchObject({ code: 'Forbidden' })
  await expect(writer.addFinalizer(thing('a', 5), 'x')).rejects.toMatchObject({ code: 'Conflict' })
  await expect(writer.create({ metadata: ref, spec: {} })).rejects.toMatchObject({ code: 'Unreachable' })
})
