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

const spec = { memory: '1Gi', rootDisk: { imageRef: { name: 'a' } } }
const vm = manifest('VirtualMachine', spec, 'status')
const id = (digit: number) => `0000000${digit}-0000-4000-8000-000000000000`
const decision = { id: id(1), epoch: 7, power: 'Running', host: 'a', follows: [] }
const placed = { machineId: id(2), host: 'a', networks: [{ mac: '02:00:00:00:00:01' }], decision }

const QUANTITY = 'should match'

describe('A status is refused that no controller writes', () => {
  test.each<[string, Written, object, string]>([
    ['a capacity that is none', storage, { capacity: 'garbage' }, QUANTITY],
    ['a capacity with a power', storage, { capacity: '1e400' }, QUANTITY],
    ['a capacity beyond what is counted', storage, { capacity: '99999Ti' }, QUANTITY],
    ['free space below nothing', storage, { available: '-1' }, QUANTITY],
    ['a disk below nothing', disk, { size: '-1Zi' }, QUANTITY],
    ['a digest that is none', image, { sha256: '00' }, QUANTITY],
    ['memory that was given, and is none', vm, { allocated: { cpus: 1, memory: 'garbage' } }, QUANTITY],
    ['an image of half a byte', image, { virtualSize: '0.5' }, QUANTITY],
    ['memory that is none', host, { memory: '' }, QUANTITY],
    [
      'an epoch that none can follow',
      vm,
      { host: 'a', decision: { ...decision, epoch: 2 ** 53 - 1 } },
      'less than or equal',
    ],
    ['an epoch of nothing', vm, { host: 'a', decision: { ...decision, epoch: 0 } }, 'greater than or equal to 1'],
    ['a decision without a host', vm, { decision }, 'status.decision is for the host in status.host'],
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

describe('A Disk that was made keeps what it is', () => {
  const made = { id: id(4), host: 'a', dataStorage: 'local', size: '1Gi' }

  test.each<[string, object | null]>([
    ['the file of another one', { id: id(5) }],
    ['no file', { id: null }],
    ['another host', { host: 'b' }],
    ['no host', { host: null }],
    ['another data storage', { dataStorage: 'other' }],
    ['no status', null],
  ])('and is refused %s', async (_name, change) => {
    const { body } = await cluster.apply(disk)
    try {
      await cluster.applyStatus(body, made)
      await expect(cluster.patchStatus(body, change)).rejects.toThrow('status says which file the disk is, and where')
      await expect(cluster.patchStatus(body, { size: '2Gi' })).resolves.toMatchObject({
        status: { ...made, size: '2Gi' },
      })
    } finally {
      await cluster.remove(body)
    }
  })
})

describe('A placed VirtualMachine keeps what it is', () => {
  test('and does not become another one by spec.adopt', async () => {
    const { body } = await cluster.apply(vm)
    try {
      await cluster.applyStatus(body, placed)
      const adopt = (machineId: string) => cluster.apply({ ...vm, spec: { ...spec, adopt: { machineId } } })
      await expect(adopt(id(3))).rejects.toThrow('this machine is another one already')
      await expect(adopt(placed.machineId)).resolves.toMatchObject({ body: { status: placed } })
    } finally {
      await cluster.remove(body)
    }
  })

  test.each<[string, object | null, string]>([
    ['another identity', { machineId: id(3) }, 'status.machineId stays what it is'],
    ['no identity', { machineId: null }, 'status.machineId stays what it is'],
    ['another host', { host: 'b', decision: { ...decision, host: 'b' } }, 'status.host stays what it is'],
    ['no host', { host: null, decision: null }, 'status.host stays what it is'],
    ['a decision for another host', { decision: { ...decision, host: 'b' } }, 'status.decision is for the host'],
    ['another address', { networks: [{ mac: '02:00:00:00:00:02' }] }, 'status.networks stays what it is'],
    ['no address', { networks: null }, 'status.networks stays what it is'],
    ['no status', null, 'status holds the identity of the machine'],
  ])('and is refused %s', async (_name, change, sentence) => {
    const { body } = await cluster.apply(vm)
    try {
      await cluster.applyStatus(body, placed)
      await expect(cluster.patchStatus(body, change)).rejects.toThrow(sentence)
      const next = { printableStatus: 'Stopped', decision: { ...decision, epoch: 8, power: 'Stopped' } }
      await expect(cluster.patchStatus(body, next)).resolves.toMatchObject({ status: { ...placed, ...next } })
    } finally {
      await cluster.remove(body)
    }
  })
})
