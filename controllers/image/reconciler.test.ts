import { describe, expect, test } from 'vitest'
import type { InspectedImage } from '../../agent/contract.ts'
import { AgentError } from '../../agent/errors.ts'
import type { Image } from '../../crds/image.ts'
import { image } from '../../crds/testing/objects.ts'
import type { Next } from '../../lib/reconcile/reconcile.ts'
import { FakeStore } from '../fleet/fake-store.ts'
import { fakeFleet, fakeHost, type FakeHost } from '../fleet/testing.ts'
import { imageReconciler } from './reconciler.ts'

const MI = 2 ** 20
const missing: InspectedImage = { state: 'Refused', code: 'FileNotFound', message: 'There is no file: put it there' }
const broken: InspectedImage = { state: 'Refused', code: 'ImageTruncated', message: 'The file ends early: copy it' }

function verified(letter: string): InspectedImage {
  return { state: 'Verified', sha256: letter.repeat(64), sizeBytes: 10 * MI, virtualSizeBytes: 64 * MI }
}

class World {
  readonly a = fakeHost('host-a')
  readonly b = fakeHost('host-b')
  hosts: FakeHost[] = [this.a, this.b]
  readonly store: FakeStore<Image>

  nowMs = 0
  allowedNetworks: string[] = []
  bundle: string | undefined
  withoutStorage: string[] = []
  others: Image[] = []

  readonly #reconciler = imageReconciler({
    fleet: { ...fakeFleet(), get: (name) => this.hosts.find((host) => host.name === name), all: () => this.hosts },
    clock: { monotonicMs: () => this.nowMs },
    settings: () => ({ allowedNetworks: this.allowedNetworks, maxImageSize: '64Gi' }),
    hasStorage: (host) => !this.withoutStorage.includes(host),
    downloadedAs: () => this.others,
    configMapValue: async (_namespace, name, key) => (name === 'company' && key === 'ca.crt' ? this.bundle : undefined),
  })

  constructor(spec: Partial<Image['spec']> = {}) {
    const { status: _, ...made } = image({}, spec)
    this.store = new FakeStore<Image>(made)
  }

  reconcile(times = 1): Promise<Next> {
    return this.store.reconcile(this.#reconciler, times)
  }

  settle(): Promise<Next> {
    return this.store.settle(this.#reconciler)
  }
}

describe('Image', () => {
  test('is ready when a host has checked it: one status write and one event', async () => {
    const world = new World()
    await world.reconcile()
    expect(world.store.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.store.stored?.status).toMatchObject({
      sha256: 'a'.repeat(64),
      size: '10Mi',
      virtualSize: '64Mi',
      hosts: ['host-a', 'host-b'],
    })
    expect([world.store.writes, world.store.events]).toEqual([1, ['Normal Ready']])
  })

  test('writes nothing and asks no host while all is well', async () => {
    const world = new World()
    await world.reconcile()
    const { asked } = world.a
    await world.reconcile(3)
    expect([world.store.writes, world.a.asked]).toEqual([1, asked])
  })

  test.each<[string, InspectedImage, InspectedImage, string]>([
    ['is missing everywhere', missing, missing, 'There is no file: put it there (host host-a)'],
    ['is broken where it is', missing, broken, 'The file ends early: copy it (host host-b)'],
  ])('whose file %s says what to do, and finds the right one later by itself', async (_name, a, b, message) => {
    const world = new World()
    Object.assign(world.a, { image: a })
    Object.assign(world.b, { image: b })
    const { retryAfterMs } = await world.settle()
    expect(world.store.condition('Ready')).toMatchObject({ status: 'False', message })
    expect(retryAfterMs).toBe(10_000)
    const { writes } = world.store
    await world.reconcile(3)
    expect(world.store.writes).toBe(writes)

    world.b.image = verified('b')
    await world.reconcile()
    expect(world.store.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.store.stored?.status?.hosts).toEqual(['host-b'])
  })

  test('asks a host that lacks the file again from time to time', async () => {
    const world = new World()
    world.b.image = missing
    const { retryAfterMs } = await world.reconcile()
    expect(retryAfterMs).toBe(60_000)
    world.b.image = verified('a')
    await world.reconcile()
    expect(world.store.stored?.status?.hosts).toEqual(['host-a', 'host-b'])
  })

  test('waits while it is checked', async () => {
    const world = new World()
    for (const host of world.hosts) host.image = { state: 'Checking' }
    const { retryAfterMs } = await world.settle()
    expect(world.store.condition('Ready')).toMatchObject({ status: 'False', reason: 'Checking' })
    expect(retryAfterMs).toBe(5_000)
  })

  test.each<[string, InspectedImage]>([
    ['without a checksum', verified('b')],
    ['with one', { state: 'Refused', code: 'ChecksumMismatch', message: 'another digest' }],
  ])('that is another file on another host is used from the first only, and says so: %s', async (_name, other) => {
    const world = new World()
    world.hosts = [world.b, world.a] // Their order here must not matter.
    world.b.image = other
    await world.reconcile()
    expect(world.store.stored?.status).toMatchObject({ sha256: 'a'.repeat(64), hosts: ['host-a'] })
    expect(world.store.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.store.condition('SameOnAllHosts')).toMatchObject({
      status: 'False',
      reason: 'FilesDiffer',
      message: `The file differs on host-b: put the one with SHA-256 ${'a'.repeat(64)} there`,
    })
    await world.reconcile(3)
    expect(world.store.writes).toBe(1)

    world.b.image = verified('a')
    await world.reconcile()
    expect(world.store.condition('SameOnAllHosts')).toMatchObject({ status: 'True' })
  })

  test('is ready where it can be checked, though another host fails', async () => {
    const world = new World()
    world.a.fault = new AgentError('INTERNAL', 'the agent failed; see its log')
    await world.reconcile()
    expect(world.store.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.store.stored?.status?.hosts).toEqual(['host-b'])
  })

  test.each<[string, (world: World) => unknown]>([
    ['there is none', (world) => world.hosts.splice(0)],
    ['none is connected', (world) => world.hosts.forEach((host) => (host.state = 'Unreachable'))],
    ['none answers', (world) => world.hosts.forEach((host) => (host.fault = new AgentError('UNREACHABLE', 'no')))],
  ])('is unknown while no host can tell: %s', async (_name, spoil) => {
    const world = new World()
    spoil(world)
    await world.settle()
    expect(world.store.condition('Ready')).toMatchObject({ status: 'Unknown', reason: 'NoHostReachable' })
  })

  test('stays ready when a host that has it goes away', async () => {
    const world = new World()
    await world.reconcile()
    world.a.state = 'Unreachable'
    await world.reconcile()
    expect(world.store.writes).toBe(1)
  })

  test('of one host is looked for there only, and blocked without that host', async () => {
    const world = new World({ source: { file: { path: 'debian.qcow2', host: 'host-b' } } })
    world.hosts = [world.a]
    await world.settle()
    expect(world.store.condition('Ready')).toMatchObject({ status: 'False', reason: 'HostNotFound' })
    expect(world.store.events).toEqual(['Warning HostNotFound'])
    world.hosts = [world.a, world.b]
    await world.reconcile()
    expect(world.store.stored?.status?.hosts).toEqual(['host-b'])
    expect(world.a.asked).toBe(0)
  })
})

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

  test('is removed from the hosts that were told, then it goes', async () => {
    const world = new World(http)
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

  test('stays on the hosts while another image has the same checksum', async () => {
    const world = new World(http)
    await world.reconcile()
    world.others = [image({ downloadHosts: ['host-a'] }, http)]
    remove(world)
    await world.reconcile()
    expect(world.store.stored).toBeUndefined()
    expect([world.a.downloads.size, world.b.downloads.size]).toEqual([1, 0])
  })
})
