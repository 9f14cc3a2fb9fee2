import { expect, test } from 'vitest'
import { disk, uidOf } from '../crds/testing/objects.ts'
import type { RecycledResource } from '../crds/recycled-resource.ts'
import type { Call, Reply } from '../lib/kube/client.ts'
import { KubeError } from '../lib/kube/errors.ts'
import { stampEntry } from './entries.ts'

const data = disk('data')
const deletionBy = (by: string, at: string) => ({ by, at, policy: 'Never' }) as const
const DELETED = { deletionTimestamp: '2026-01-01T12:00:00Z' }

/** An API server that keeps one entry, beside a Disk as it is now. Ann and then Bob delete that; who is in the entry? */
async function whoIsBooked(live: object | undefined): Promise<string | undefined> {
  let entry: RecycledResource | undefined
  const send = async <T>({ method, path, body }: Call): Promise<Reply<T>> => {
    if (method !== 'GET') entry = body as RecycledResource
    const found = path.includes('/disks/') ? live : entry
    if (!found) throw new KubeError('NotFound', 'there is none')
    return { status: 200, body: found as T, warnings: [] }
  }
  // As the API server showed it when it asked.
  const stamp = { kind: 'Disk', object: data, lastSeen: undefined } as const
  await stampEntry({ send }, { ...stamp, deletion: deletionBy('ann', '2026-01-01T12:00:00Z') })
  await stampEntry({ send }, { ...stamp, deletion: deletionBy('bob', '2026-01-01T12:00:02Z') })
  return entry?.spec.deletion.by
}

test.each<[string, object | undefined, string]>([
  ['lives on', data, 'bob'],
  ['is deleted meanwhile', { ...data, metadata: { ...data.metadata, ...DELETED } }, 'ann'],
  ['is gone meanwhile', undefined, 'ann'],
  ['is gone meanwhile, and another has its name', { ...data, metadata: { ...data.metadata, uid: uidOf('b') } }, 'ann'],
])('[DEL-13] A delete that is still judged while the object %s leaves the right one booked', async (_, live, by) => {
  expect(await whoIsBooked(live)).toBe(by)
})
