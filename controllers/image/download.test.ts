import { describe, expect, test } from 'vitest'
import type { InspectedImage } from '../../agent/contract.ts'
import { entry as newEntry, image } from '../../crds/testing/objects.ts'

import { verified, World } from './testing.ts'

describe('Image by http', () => {
  const sha256 = 'a'.repeat(64)
  const url = 'https://files.example.com/debian.qcow2'
  const http = { source: { http: { url } }, checksum: `sha256:${sha256}` }
  const at = (receivedBytes: number): InspectedImage => ({ state: 'Downloading', receivedBytes, totalBytes: 1000 })

  test('is downloaded by every host with a data storage, under the settings of the platform', async () => {
    const world = new World(http)
    world.allowedNetworks = ['10.0.0.0/8']
    world.withoutStorage = ['host-b']
    await world.reconcile()
    const order = { url, sha256, format: 'qcow2', maxBytes: 2 ** 36, allowedNetworks: ['10.0.0.0/8'] }
    expect(world.a.downloads.get(sha256)).toEqual(order)
    expect(world.b.asked).toBe(0)
    expect(world.store.stored?.status).toMatchObject({ hosts: ['host-a'], downloadHosts: ['host-a'] })
    expect(world.store.condition('Ready')).toMatchObject({ status: 'True' })
    const { writes } = world.store
    await world.reconcile(3)
    expect(world.store.writes).toBe(writes)
  })

  test('is stored with the hosts that will have it before any of them is told', async () => {
    const world = new World(http)
    world.store.crash = new Error('the API server is away')
    await expect(world.reconcile()).rejects.toThrow('away')
    expect(world.a.asked).toBe(0)
  })

  test('waits for a data storage', async () => {
    const world = new World(http)
    world.withoutStorage = ['host-a', 'host-b']
    await world.settle()
    expect(world.store.condition('Ready')).toMatchObject({ status: 'False', reason: 'NoDataStorage' })
  })

  test('shows its progress every ten percent, or every 30 s', async () => {
    const world = new World(http)
    world.b.image = at(0)
    world.a.image = at(0)
    await world.settle()
    expect(world.store.condition('Ready')).toMatchObject({ status: 'False', reason: 'Downloading' })
    const { writes } = world.store
    for (let received = 0; received < 1000; received += 1) {
      world.a.image = at(received)
      await world.reconcile()
    }
    expect(world.store.stored?.status?.progress).toBe(90)
    expect(world.store.writes).toBe(writes + 9)
    world.nowMs += 30_000
    await world.reconcile(3)
    expect(world.store.stored?.status?.progress).toBe(99)
    expect(world.store.writes).toBe(writes + 10)
    world.a.image = verified('a')
    await world.reconcile()
    expect(world.store.stored?.status).toMatchObject({ progress: 100, hosts: ['host-a'] })
  })

  test('says why it does not come, the same while it is tried again as when it was given up for a while', async () => {
    const world = new World(http)
    const trouble = { code: 'DownloadFailed', message: 'The server a answers HTTP 503: see that it works' } as const
    for (const host of world.hosts) host.image = { state: 'Downloading', receivedBytes: 0, trouble }
    await world.settle()
    const shown = { status: 'False', reason: 'DownloadFailed', message: `${trouble.message} (host host-a)` }
    expect(world.store.condition('Ready')).toMatchObject(shown)
    const { writes } = world.store
    for (const host of world.hosts) host.image = { state: 'Refused', ...trouble }
    await world.settle()
    expect(world.store.condition('Ready')).toMatchObject(shown)
    expect(world.store.writes).toBe(writes)
  })

  test('says that it waits for its turn, until one of its hosts downloads', async () => {
    const world = new World(http)
    for (const host of world.hosts) host.image = { state: 'Downloading', receivedBytes: 0, waitsFor: 4 }
    await world.settle()
    const message = 'The file waits for its turn: other downloads are under way on host host-a (4)'
    expect(world.store.condition('Ready')).toMatchObject({ status: 'False', reason: 'Downloading', message })
    world.b.image = at(0)
    await world.settle()
    expect(world.store.condition('Ready')).toMatchObject({ message: 'The file is being downloaded' })
  })

  test('trusts what a ConfigMap holds, once it is there', async () => {
    const caBundle = { configMapKeyRef: { name: 'company', key: 'ca.crt' } }
    const world = new World({ ...http, source: { http: { url, caBundle } } })
    await world.settle()
    expect(world.store.condition('Ready')).toMatchObject({
      reason: 'CABundleUnusable',
      message: 'There is no ConfigMap company with a key ca.crt: put the PEM certificates there',
    })
    expect(world.a.asked).toBe(0)
    world.bundle = 'PEM'
    await world.reconcile()
    expect(world.a.downloads.get(sha256)).toMatchObject({ caBundle: 'PEM' })
    // What is there needs it no more.
    world.bundle = undefined
    world.withoutStorage = ['host-a', 'host-b']
    await world.reconcile()
    expect(world.store.condition('Ready')).toMatchObject({ status: 'True' })
  })

  test('that is refused says why', async () => {
    const world = new World(http)
    for (const host of world.hosts) host.image = { state: 'Refused', code: 'AddressNotAllowed', message: 'No: do' }
    await world.settle()
    expect(world.store.condition('Ready')).toMatchObject({
      status: 'False',
      reason: 'AddressNotAllowed',
      message: 'No: do (host host-a)',
    })
    expect(world.store.events).toEqual(['Warning AddressNotAllowed'])
  })

  const remove = (world: World) =>
    world.store.change(({ metadata }) => void (metadata.deletionTimestamp = '2026-01-01T00:00:00Z'))

  test('is removed from the hosts that were told, then it goes, where a delete destroys', async () => {
    const world = new World({ ...http, deletionPolicy: 'Immediate' })
    await world.reconcile()
    remove(world)
    world.b.state = 'Unreachable'
    await world.settle()
    expect(world.a.downloads.size).toBe(0)
    expect(world.store.condition('Ready')).toMatchObject({ reason: 'Deleting' })
    expect(world.store.condition('CleanedUp')).toMatchObject({ reason: 'HostUnreachable' })
    world.hosts = [world.a] // Its Host was deleted.
    await world.reconcile()
    expect(world.store.stored).toBeUndefined()
  })

  test('[DEL-11] stays on the hosts that the recycle bin keeps it on for another image', async () => {
    const world = new World({ ...http, deletionPolicy: 'Immediate' })
    await world.reconcile()
    const binned = newEntry('Image', 'other', { download: { sha256, hosts: ['host-a'] } })
    world.recycled.entries.set(binned.metadata.name, binned)
    remove(world)
    await world.reconcile()
    expect(world.store.stored).toBeUndefined()
    expect([world.a.downloads.size, world.b.downloads.size]).toEqual([1, 0])
  })

  test('stays on the hosts while another image has the same checksum', async () => {
    const world = new World({ ...http, deletionPolicy: 'Immediate' })
    await world.reconcile()
    world.others = [image({ downloadHosts: ['host-a'] }, http)]
    remove(world)
    await world.reconcile()
    expect(world.store.stored).toBeUndefined()
    expect([world.a.downloads.size, world.b.downloads.size]).toEqual([1, 0])
  })
})
