import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { objectPath } from '../lib/kube/paths.ts'
import type { Resource } from './kind.ts'
import { Cluster, kindOf, manifest, type Written } from './testing/cluster.ts'

let cluster: Cluster
beforeAll(async () => {
  cluster = await Cluster.connect(inject('kubeconfig'))
})
afterAll(async () => {
  await cluster[Symbol.asyncDispose]()
})

const cases: [string, Written, string][] = [
  [
    'VirtualMachine',
    manifest('VirtualMachine', { memory: '1Gi', rootDisk: { imageRef: { name: 'a' } } }, 'kept'),
    'compute.holdfast.dev/virtual-machine',
  ],
  ['Disk', manifest('Disk', { size: '1Gi' }, 'kept'), 'storage.holdfast.dev/disk'],
  ['Image', manifest('Image', { source: { file: { path: 'a' } } }, 'kept'), 'storage.holdfast.dev/image'],
]

describe.each(cases)('%s', (kind, written, finalizer) => {
  test('has its finalizer from its first moment on, beside those that it was made with', async () => {
    const { body: bare } = await cluster.apply(written)
    expect(bare.metadata.finalizers).toEqual([finalizer])
    await cluster.remove(bare)

    const finalizers = ['example.com/other']
    const { body } = await cluster.apply({ ...written, metadata: { ...written.metadata, finalizers } })
    expect(body.metadata.finalizers?.toSorted()).toEqual([finalizer, 'example.com/other'].toSorted())
    await cluster.remove(body)
  })

  test.each([
    ['all of them', null],
    ['its own alone', ['example.com/other']],
  ])('gets it back when an update drops %s', async (_name, finalizers) => {
    const { body } = await cluster.apply(written)
    const after = await patch(body, { finalizers })
    expect(after.metadata.finalizers).toContain(finalizer)
    await cluster.remove(after)
  })

  test('keeps it on a change of its status', async () => {
    const { body } = await cluster.apply(written)
    const after = await cluster.applyStatus(body, { observedGeneration: 1 })
    expect(after.metadata.finalizers).toEqual([finalizer])
    await cluster.remove(body)
  })

  test('is still there after a delete, and goes for good when the finalizer is taken off then', async () => {
    const { body } = await cluster.apply(written)
    const path = objectPath(kindOf(kind), body.metadata)
    await cluster.kube.send({ method: 'DELETE', path })
    const { body: deleted } = await cluster.kube.send<Resource>({ method: 'GET', path })
    expect(deleted.metadata).toMatchObject({ deletionTimestamp: expect.any(String), finalizers: [finalizer] })
    await patch(deleted, { finalizers: [] })
    await expect(cluster.kube.send({ method: 'GET', path })).rejects.toMatchObject({ code: 'NotFound' })
  })
})

test.each([['Host', manifest('Host', { address: 'a' }, 'bare')]])(
  '%s owns nothing outside the API, so it has no finalizer',
  async (_kind, written) => {
    const { body } = await cluster.apply(written)
    expect(body.metadata.finalizers).toBeUndefined()
    await cluster.remove(body)
  },
)

async function patch({ kind, metadata }: Resource, changes: object): Promise<Resource> {
  const { body } = await cluster.kube.send<Resource>({
    method: 'PATCH',
    path: objectPath(kindOf(kind), metadata),
    contentType: 'application/merge-patch+json',
    body: { metadata: changes },
  })
  return body
}
