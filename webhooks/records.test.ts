import { expect, test } from 'vitest'
import type { Call, Kube, Reply } from '../lib/kube/client.ts'
import { KubeError } from '../lib/kube/errors.ts'
import { recordNamespace, whoDeletedNamespace } from './records.ts'

const NOW = Date.parse('2026-01-01T12:00:00Z')
const agoMs = (ms: number) => new Date(NOW - ms)

/** An API server that keeps one ConfigMap, beside a namespace `shop` that somebody deleted at noon. */
function newCluster(uid: string): Pick<Kube, 'send'> {
  let record: object | undefined
  const send = async <T>({ method, path, body }: Call): Promise<Reply<T>> => {
    const namespace = { metadata: { name: 'shop', uid, deletionTimestamp: agoMs(0).toISOString() } }
    if (method !== 'GET') record = { ...(body as object), metadata: { resourceVersion: '1' } }
    const found = path.includes('configmaps') ? record : namespace
    if (!found) throw new KubeError('NotFound', 'there is none')
    return { status: 200, body: found as T, warnings: [] }
  }
  return { send }
}

test.each([
  ['just now', 500, 'u1', 'ann'],
  ['by a clock that is a little ahead', -2_000, 'u1', 'ann'],
  ['so long ago that it came to nothing', 90_000, 'u1', undefined],
  ['when it was another namespace of that name', 500, 'u0', undefined],
])('[DEL-14] Who deleted a namespace %s', async (_, beforeMs, uid, expected) => {
  const cluster = newCluster('u1')
  await recordNamespace(cluster, { name: 'shop', uid, person: 'ann', at: agoMs(beforeMs) })
  expect(await whoDeletedNamespace(cluster, 'shop')).toBe(expected)
})

test('[DEL-14] Who deleted a namespace in vain, and then again, deleted it', async () => {
  const cluster = newCluster('u1')
  const tried = { name: 'shop', uid: 'u1', person: 'ann' }
  await recordNamespace(cluster, { ...tried, at: agoMs(600_000) })
  await recordNamespace(cluster, { ...tried, at: agoMs(100) })
  expect(await whoDeletedNamespace(cluster, 'shop')).toBe('ann')
})

test.each([
  ['once', 1],
  ['more often than it is tried', 9],
])(
  '[DEL-14] Who deletes a namespace that others delete too is written down, or it is said: %s',
  async (_, conflicts) => {
    const cluster = newCluster('u1')
    let left = conflicts
    const send: typeof cluster.send = async (call) => {
      if (call.method !== 'GET' && left-- > 0) throw new KubeError('AlreadyExists', 'somebody else was faster')
      return cluster.send(call)
    }
    const recorded = recordNamespace({ send }, { name: 'shop', uid: 'u1', person: 'ann', at: agoMs(100) })
    const outcome = await recorded.then(
      () => 'written',
      (error: unknown) => String(error),
    )
    const person = await whoDeletedNamespace(cluster, 'shop')
    expect([outcome, person]).toEqual(
      conflicts === 1
        ? ['written', 'ann']
        : ['Error: the record of namespace shop changes faster than it can be written', undefined],
    )
  },
)
