import { expect, test } from 'vitest'
import { binnedDisk, disk, entry, uidOf } from '../crds/testing/objects.ts'
import type { RecycledResource } from '../crds/recycled-resource.ts'
import type { Call, Reply } from '../lib/kube/client.ts'
import { KubeError } from '../lib/kube/errors.ts'
import { findNewestEntry, stampEntry } from './entries.ts'

const data = disk('data')
const deletionBy = (by: string, at: string) => ({ by, at, policy: 'Never' }) as const
const DELETED = { deletionTimestamp: '2026-01-01T12:00:00Z' }

/** An API server that keeps one entry, beside a Disk as it is now. Ann and then Bob delete that; who is in the entry? */
async function whoIsBooked(live: object | undefined): Promise<string | undefined> {
  let stored: RecycledResource | undefined
  const send = async <T>({ method, path, body }: Call): Promise<Reply<T>> => {
    if (method !== 'GET') stored = body as RecycledResource
    const found = path.includes('/disks/') ? live : stored
    if (!found) throw new KubeError('NotFound', 'there is none')
    return { status: 200, body: found as T, warnings: [] }
  }
  // As the API server showed it when it asked.
  const stamp = { kind: 'Disk', object: data, lastSeen: undefined } as const
  await stampEntry({ send }, { ...stamp, deletion: deletionBy('ann', '2026-01-01T12:00:00Z') })
  await stampEntry({ send }, { ...stamp, deletion: deletionBy('bob', '2026-01-01T12:00:02Z') })
  return stored?.spec.deletion.by
}

test.each<[string, object | undefined, string]>([
  ['lives on', data, 'bob'],
  ['is deleted meanwhile', { ...data, metadata: { ...data.metadata, ...DELETED } }, 'ann'],
  ['is gone meanwhile', undefined, 'ann'],
  ['is gone meanwhile, and another has its name', { ...data, metadata: { ...data.metadata, uid: uidOf('b') } }, 'ann'],
])('[DEL-13] A delete that is still judged while the object %s leaves the right one booked', async (_, live, by) => {
  expect(await whoIsBooked(live)).toBe(by)
})

test('[DEL-16] A create under Restore finds the newest of thousands of entries, and holds few of them at a time', async () => {
  const COUNT = 2_050
  const madeAt = (index: number) => new Date(Date.UTC(2026, 0, 1, 0, (index * 7) % COUNT)).toISOString()
  const all = Array.from({ length: COUNT }, (_, index) => {
    const one = entry('Disk', 'data', { disks: [binnedDisk('data')] })
    return { ...one, metadata: { ...one.metadata, name: uidOf(`of ${index}`), creationTimestamp: madeAt(index) } }
  })
  const sizes: number[] = []
  const send = async <T>({ query = {} }: Call): Promise<Reply<T>> => {
    expect(query['fieldSelector']).toBe('spec.resource.kind=Disk,spec.resource.namespace=shop,spec.resource.name=data')
    const begin = Number(query['continue'] ?? 0)
    const end = begin + Number(query['limit'] ?? COUNT)
    const items = all.slice(begin, end)
    sizes.push(items.length)
    const metadata = { continue: end < COUNT ? String(end) : '' }
    return { status: 200, body: { metadata, items } as T, warnings: [] }
  }
  const newest = all.toSorted((a, b) => b.metadata.creationTimestamp.localeCompare(a.metadata.creationTimestamp))[0]
  expect((await findNewestEntry({ send }, data, []))?.metadata.name).toBe(newest?.metadata.name)
  expect(sizes.reduce((sum, size) => sum + size)).toBe(COUNT)
  expect(Math.max(...sizes)).toBeLessThanOrEqual(100)
})

test('[DEL-16] [DEL-20] A create of a Disk asks the API server of few of thousands of machines that took such a Disk along', async () => {
  const COUNT = 2_050
  const taken = { ...binnedDisk('data'), manifest: { spec: {} } }
  const all = Array.from({ length: COUNT }, (_, index) => {
    const one = entry('VirtualMachine', 'web', { disks: [taken] })
    const creationTimestamp = new Date(Date.UTC(2026, 0, 1, 0, index)).toISOString()
    return { ...one, metadata: { ...one.metadata, name: uidOf(`of ${index}`), creationTimestamp } }
  })
  const asked: string[] = []
  const send = async <T>({ path, query }: Call): Promise<Reply<T>> => {
    if (query) return { status: 200, body: { metadata: {}, items: [] } as T, warnings: [] }
    const one = all.find(({ metadata }) => path.endsWith(`/${metadata.name}`))
    asked.push(path)
    // The last one came back since it was seen.
    if (!one || one === all.at(-1)) throw new KubeError('NotFound', 'there is none')
    return { status: 200, body: one as T, warnings: [] }
  }
  expect((await findNewestEntry({ send }, data, all))?.metadata.name).toBe(uidOf(`of ${COUNT - 2}`))
  expect(asked).toHaveLength(20)
})
