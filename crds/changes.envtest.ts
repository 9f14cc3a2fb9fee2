import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { Cluster, manifest, type Written } from './testing/cluster.ts'

let cluster: Cluster
beforeAll(async () => {
  cluster = await Cluster.connect(inject('kubeconfig'))
})
afterAll(async () => {
  await cluster[Symbol.asyncDispose]()
})

const vm = (spec: object) => manifest('VirtualMachine', { memory: '1Gi', ...spec }, 'changed')
const disk = (spec: object) => manifest('Disk', spec, 'changed')
const image = (spec: object) => manifest('Image', { source: { file: { path: 'a' } }, ...spec }, 'changed')
const storage = (local: object) => manifest('DataStorage', { local }, 'changed')

const ROOT_DISK =
  'rootDisk cannot be changed; to grow the disk, change spec.size of its Disk; else create another machine'
const HALTED = 'a machine whose runStrategy is Halted is not started'
const ONCE = 'a request is carried out once for each time: give at the present time'
const SHRINK =
  'a disk can only grow; to have a smaller one, create another Disk; a size that there was no room for can be taken back, down to status.size'
const STAYS = 'a disk stays on its data storage'
const SOURCE = 'source cannot be changed; create another Disk'
const IMAGE = 'an image cannot be changed; create another Image'
const STORAGE = 'a data storage stays where it is; create another DataStorage'

const asks = (request: string, at = '2026-01-01T00:00:00Z') => ({ ...fromA, power: { request, at } })
const halted = { runStrategy: 'Halted' }

const fromA = { rootDisk: { imageRef: { name: 'a' } } }
const onA = { size: '2Gi', dataStorage: 'a' }
const ofA = { size: '2Gi', source: { image: { name: 'a' } } }

describe('A change is refused with what to do', () => {
  test.each<[string, Written, Written, string]>([
    ['another image', vm(fromA), vm({ rootDisk: { imageRef: { name: 'b' } } }), ROOT_DISK],
    ['a larger root disk', vm(fromA), vm({ rootDisk: { ...fromA.rootDisk, size: '2Gi' } }), ROOT_DISK],
    ['another kind of root disk', vm(fromA), vm({ rootDisk: { diskRef: { name: 'a' } } }), ROOT_DISK],
    ['a start of a machine that is halted', vm({ ...fromA, ...halted }), vm({ ...asks('Start'), ...halted }), HALTED],
    ['another request for the same time', vm(asks('Start')), vm(asks('Stop')), ONCE],
    ['a smaller disk', disk({ size: '2Gi' }), disk({ size: '2047Mi' }), SHRINK],
    ['a disk elsewhere', disk(onA), disk({ ...onA, dataStorage: 'b' }), STAYS],
    ['a disk that is nowhere any more', disk(onA), disk({ size: '2Gi' }), STAYS],
    ['another source', disk(ofA), disk({ ...ofA, source: { image: { name: 'b' } } }), SOURCE],
    ['no source any more', disk(ofA), disk({ size: '2Gi' }), SOURCE],
    ['a source for a blank disk', disk({ size: '2Gi' }), disk(ofA), SOURCE],
    ['another file', image({}), image({ source: { file: { path: 'b' } } }), IMAGE],
    ['another format', image({}), image({ format: 'raw' }), IMAGE],
    ['a checksum', image({}), image({ checksum: `sha256:${'a'.repeat(64)}` }), IMAGE],
    ['another folder', storage({ host: 'a', path: '/a' }), storage({ host: 'a', path: '/b' }), STORAGE],
    ['another host', storage({ host: 'a', path: '/a' }), storage({ host: 'b', path: '/a' }), STORAGE],
  ])('%s', async (_name, before, after, sentence) => {
    const { body } = await cluster.apply(before)
    try {
      expect(await cluster.objection(after)).toContain(sentence)
      expect(await cluster.objection(before)).toBe('accepted')
    } finally {
      await cluster.remove(body)
    }
  })
})

describe('A change is accepted', () => {
  test.each<[string, Written, Written]>([
    ['to halt a machine that was started by a request', vm(asks('Start')), vm({ ...asks('Start'), ...halted })],
    ['another request for another time', vm(asks('Start')), vm(asks('Stop', '2026-01-01T00:00:01Z'))],
    ['a larger disk, in another unit', disk({ size: '2Gi' }), disk({ size: '2049Mi' })],
    ['the same size, in another unit', disk({ size: '2Gi' }), disk({ size: '2048Mi' })],
    ['a storage for a disk that has none', disk({ size: '2Gi' }), disk(onA)],
    ['memory, power and disks', vm(fromA), vm({ ...fromA, memory: '2Gi', runStrategy: 'Halted' })],
    ['an address', manifest('Host', { address: 'a' }, 'changed'), manifest('Host', { address: 'b' }, 'changed')],
  ])('%s', async (_name, before, after) => {
    const { body } = await cluster.apply(before)
    try {
      expect(await cluster.objection(after)).toBe('accepted')
    } finally {
      await cluster.remove(body)
    }
  })
})

test('Disk that was put somewhere is not asked for elsewhere afterwards', async () => {
  const { body } = await cluster.apply(disk({ size: '2Gi' }))
  try {
    await cluster.applyStatus(body, { dataStorage: 'b' })
    expect(await cluster.objection(disk(onA))).toContain('the disk is on another data storage already')
    expect(await cluster.objection(disk({ size: '2Gi', dataStorage: 'b' }))).toBe('accepted')
  } finally {
    await cluster.remove(body)
  }
})

test.each([
  ['found no room for that, is asked for less again', 'NoDataStorageFits', 'accepted'],
  ['is about to, is not asked for less again', 'Growing', SHRINK],
])('Disk that was asked to grow, and %s', async (_, reason, expected) => {
  const { body } = await cluster.apply(disk({ size: '64Mi' }))
  try {
    const lastTransitionTime = '2026-01-01T00:00:00Z'
    const condition = { type: 'SpecApplied', status: 'False', reason, message: '', lastTransitionTime }
    await cluster.apply(disk({ size: '2Ti' }))
    await cluster.applyStatus(body, { size: '64Mi', conditions: [condition] })
    expect(await cluster.objection(disk({ size: '2Gi' }))).toContain(expected)
    expect(await cluster.objection(disk({ size: '64Mi' }))).toContain(expected)
    expect(await cluster.objection(disk({ size: '63Mi' }))).toContain(SHRINK)
  } finally {
    await cluster.remove(body)
  }
})

test('VirtualMachine is unchanged by a second apply, and status is not written with it', async () => {
  const { body: first } = await cluster.apply(vm(fromA))
  try {
    const { body: second } = await cluster.apply({ ...vm(fromA), status: { host: 'a' } })
    expect(second.metadata.resourceVersion).toBe(first.metadata.resourceVersion)
    expect(second.status).toBeUndefined()
  } finally {
    await cluster.remove(first)
  }
})
