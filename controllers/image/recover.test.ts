import { describe, expect, test } from 'vitest'
import { RECOVERED_FROM_ANNOTATION, type RecycledResource } from '../../crds/recycled-resource.ts'
import { entry as newEntry } from '../../crds/testing/objects.ts'
import { newCaches } from '../cluster/caches.ts'
import { World } from './testing.ts'
import { watchImages } from './watches.ts'

const SHA256 = 'a'.repeat(64)
const http = { source: { http: { url: 'https://files.example.com/a.qcow2' } }, checksum: `sha256:${SHA256}` }
/** Host-z is away. */
const hosts = ['host-a', 'host-z']

/** An Image that says it comes from that entry. */
function comingFrom(entry: RecycledResource, spec = http): World {
  const world = new World(spec)
  world.store.change(({ metadata }) => {
    Object.assign(metadata, { annotations: { [RECOVERED_FROM_ANNOTATION]: entry.metadata.name } })
  })
  world.recycled.entries.set(entry.metadata.name, entry)
  return world
}

function entryOf(name: string, phase: 'Binned' | 'Recovering', sha256 = SHA256): RecycledResource {
  return { ...newEntry('Image', name, { download: { sha256, hosts } }), status: { phase } }
}

describe('Image from the recycle bin', () => {
  test('[DEL-11] has what hosts downloaded for it, also those that are away', async () => {
    const world = comingFrom(entryOf('debian', 'Recovering'))
    await world.reconcile()
    expect(world.store.stored?.status?.downloadHosts).toEqual(['host-a', 'host-b', 'host-z'])
    expect(world.store.condition('Ready')).toMatchObject({ status: 'True' })
    const { writes } = world.store
    await world.reconcile(3)
    expect(world.store.writes).toBe(writes)
  })

  test('[DEL-16] is looked at again when its entry changes', () => {
    const caches = newCaches()
    const looked: string[] = []
    watchImages(caches, (key) => looked.push(key))
    const entry = entryOf('debian', 'Recovering')
    const coming = comingFrom(entry).store.stored
    if (coming) caches.images.put(coming)
    looked.length = 0
    caches.recycled.put(entry)
    expect(looked).toEqual(['shop/debian'])
  })

  test.each([
    ['is not being brought back', entryOf('debian', 'Binned')],
    ['is brought back as another one', entryOf('another', 'Recovering')],
    ['had another file', entryOf('debian', 'Recovering', 'b'.repeat(64))],
    ['is of another kind', { ...newEntry('Disk', 'debian'), status: { phase: 'Recovering' as const } }],
  ])('[DEL-11] has nothing of an entry that %s', async (_, entry) => {
    const world = comingFrom(entry)
    await world.reconcile(2)
    expect(world.store.stored?.status?.downloadHosts).toEqual(['host-a', 'host-b'])
  })

  test('[DEL-16] that is deleted meanwhile goes back with all of it, once its entry is gone', async () => {
    const coming = entryOf('debian', 'Recovering')
    const world = comingFrom(coming)
    world.store.change(({ metadata }) => void (metadata.deletionTimestamp = '2026-01-01T00:00:00Z'))
    await world.settle()
    expect(world.store.stored?.status?.downloadHosts).toEqual(hosts)
    expect(world.store.condition('CleanedUp')).toMatchObject({ reason: 'Recovering' })
    const uid = world.store.stored?.metadata.uid ?? ''
    expect(world.recycled.entries.has(uid)).toBe(false)
    world.recycled.entries.delete(coming.metadata.name)
    await world.reconcile()
    expect(world.store.stored).toBeUndefined()
    expect(world.recycled.entries.get(uid)?.spec.contents?.download).toEqual({ sha256: SHA256, hosts })
  })
})
