import { describe, expect, test } from 'vitest'
import type { Resource } from '../crds/kind.ts'
import type { RecycledResource } from '../crds/recycled-resource.ts'
import { attachment, binnedDisk, dataStorage, disk, entry, host, image, machine } from '../crds/testing/objects.ts'
import { decideDeletion, defaultDeletion } from '../policy/deletion.ts'
import { newCaches } from './caches.ts'
import { relationsOf } from './relations.ts'

const web = entry('VirtualMachine', 'web', {
  manifest: { spec: { rootDisk: { imageRef: { name: 'debian' } } } },
  host: 'host-a',
  disks: [binnedDisk('web-root'), binnedDisk('web-log'), binnedDisk('web-data', { dataStorage: 'fast' })],
})
const data = entry('Disk', 'data', {
  manifest: { spec: { source: { image: { name: 'debian' } } } },
  host: 'host-b',
  disks: [binnedDisk('data', { dataStorage: 'fast' })],
})

/** What an object is said to hold of what the recycle bin has, by name. */
function binnedOf(object: Resource, entries: readonly RecycledResource[], hosts: readonly string[] = ['host-a']) {
  const caches = newCaches()
  for (const one of entries) caches.recycled.put(one)
  for (const name of hosts) caches.hosts.put(host(name))
  return relationsOf(caches, object).binned
}

const nameIn = ({ metadata, spec: { resource } }: RecycledResource) =>
  `${resource.kind} shop/${resource.name} (${metadata.name})`
const purging = (one: RecycledResource): RecycledResource => ({ ...one, status: { phase: 'Purging' } })
const pending = ({ spec, ...one }: RecycledResource): RecycledResource => {
  const { contents: _, ...rest } = spec
  return { ...one, spec: rest, status: {} }
}
const immediate = (one: RecycledResource): RecycledResource => ({
  ...one,
  spec: { ...one.spec, deletion: { by: 'ann', at: '2026-01-01T00:00:00Z', policy: 'Immediate' } },
})

describe('[REM-07] What the recycle bin has', () => {
  test.each<[string, Resource, readonly RecycledResource[], readonly RecycledResource[]]>([
    ['on a storage, once an entry', dataStorage(), [web, data], [web]],
    ['on another storage', dataStorage({}, 'fast'), [web, data], [web, data]],
    ['on a host', host('host-a'), [web, data], [web]],
    ['that came from an image', image(), [web, data], [web, data]],
    ['does not count before it is put away', host('host-a'), [pending(web)], []],
    ['does not count where it is destroyed at once', dataStorage(), [immediate(web)], []],
    ['does not keep a host from going that was told to destroy it', host('host-a'), [purging(web)], []],
    ['keeps the storage until it is destroyed', dataStorage(), [purging(web)], [purging(web)]],
  ])('%s', (_, object, entries, found) => {
    expect(binnedOf(object, entries)).toEqual(found.map(nameIn))
  })

  test('does not keep a storage whose host is gone when it is to be destroyed, for nobody can', () => {
    expect(binnedOf(dataStorage(), [purging(web)], [])).toEqual([])
    expect(binnedOf(dataStorage(), [web], [])).toEqual([nameIn(web)])
  })

  test('does not count for images of other namespaces, or of other names', () => {
    const elsewhere = (metadata: object): Resource => {
      const { status: _, ...debian } = image()
      return { ...debian, metadata: { ...debian.metadata, ...metadata } }
    }
    expect(binnedOf(elsewhere({ namespace: 'lab' }), [web, data])).toEqual([])
    expect(binnedOf(elsewhere({ name: 'fedora' }), [web, data])).toEqual([])
  })
})

describe('[DEL-20] Disks of a machine', () => {
  const now = new Date('2026-01-01T00:00:00Z')
  const delayed = decideDeletion({ kind: 'VirtualMachine', override: 'Delayed', settings: defaultDeletion, now })
  const ID = '11111111-1111-4111-8111-111111111111'
  const vm = {
    ...machine({
      disks: [attachment('data', true), attachment('kept', true), attachment('scratch'), attachment('gone', true)],
    }),
    status: { machineId: ID, host: 'host-a' },
  }
  const attachedTo = { virtualMachine: 'web', machineId: ID }

  test('are told apart by whether they go along with it', () => {
    const caches = newCaches()
    caches.machines.put(vm)
    for (const name of ['data', 'scratch']) caches.disks.put(disk(name, { attachedTo }))
    const kept = disk('kept', { attachedTo })
    caches.disks.put({ ...kept, spec: { ...kept.spec, deletionPolicy: 'Never' } })
    expect(relationsOf(caches, vm, delayed)).toMatchObject({
      disks: ['shop/data', 'shop/kept', 'shop/scratch'],
      goAlong: ['shop/data'],
      heldBack: new Map([['shop/kept', 'has the deletion policy Never']]),
    })
  })
})
