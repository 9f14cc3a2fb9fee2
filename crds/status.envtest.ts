import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { Cluster, manifest, type Written } from './testing/cluster.ts'

let cluster: Cluster
beforeAll(async () => {
  cluster = await Cluster.connect(inject('kubeconfig'))
})
afterAll(async () => {
  await cluster[Symbol.asyncDispose]()
})

const storage = manifest('DataStorage', { local: { host: 'a', path: '/srv/status' } }, 'status')
const disk = manifest('Disk', { size: '1Gi' }, 'status')
const image = manifest('Image', { source: { file: { path: 'a' } } }, 'status')
const host = manifest('Host', { address: '10.0.0.5' }, 'status')

const QUANTITY = 'should match'

describe('A status is refused that no controller writes', () => {
  test.each<[string, Written, object, string]>([
    ['a capacity that is none', storage, { capacity: 'garbage' }, QUANTITY],
    ['a capacity with a power', storage, { capacity: '1e400' }, QUANTITY],
    ['a capacity beyond what is counted', storage, { capacity: '99999Ti' }, QUANTITY],
    ['free space below nothing', storage, { available: '-1' }, QUANTITY],
    ['a disk below nothing', disk, { size: '-1Zi' }, QUANTITY],
    ['an image of half a byte', image, { virtualSize: '0.5' }, QUANTITY],
    ['memory that is none', host, { memory: '' }, QUANTITY],
  ])('%s', async (_name, written, status, sentence) => {
    const { body } = await cluster.apply(written)
    try {
      await expect(cluster.patchStatus(body, status)).rejects.toThrow(sentence)
    } finally {
      await cluster.remove(body)
    }
  })
})

test('A status takes every quantity that controllers write', async () => {
  const { body } = await cluster.apply(storage)
  try {
    for (const capacity of ['0', '1073741825', '9007199254740991', '8796093022207Ki', '3Mi', '90Gi', '8191Ti']) {
      await expect(cluster.patchStatus(body, { capacity })).resolves.toMatchObject({ status: { capacity } })
    }
  } finally {
    await cluster.remove(body)
  }
})
