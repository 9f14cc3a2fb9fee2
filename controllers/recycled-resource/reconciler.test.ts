import { describe, expect, test } from 'vitest'
import type { Disk } from '../../crds/disk.ts'
import { binnedDisk, disk, entry as newEntry, meta, newDisk } from '../../crds/testing/objects.ts'
import type { RecycledResource } from '../../crds/recycled-resource.ts'
import { MACHINE_ID_LABEL } from '../../crds/virtual-machine.ts'
import { FakeStore } from '../fleet/fake-store.ts'
import { fakeFleet, fakeHost } from '../fleet/testing.ts'
import { FakeBin } from '../recycle-bin/fake-bin.ts'
import { recycledResourceReconciler } from './reconciler.ts'
import type { Found } from './scope.ts'

const MACHINE = '11111111-1111-4111-8111-111111111111'
const FILE = '22222222-2222-4222-8222-222222222222'

/** The entry of Disk shop/data, whose object is gone, with one file on host-a. */
function newWorld(phase: 'Pending' | 'Binned', policy: 'Immediate' | 'Delayed' | 'Never' = 'Delayed') {
  const recycled = new FakeBin()
  recycled.policy = policy
  const host = fakeHost('host-a')
  host.disks.set(FILE, 1)
  const { uid } = disk('data').metadata
  const entry = recycled.stamp(disk('data'))
  const held = { name: 'data', uid, id: FILE, dataStorage: 'local', size: '1Gi' }
  const manifest = { metadata: { name: 'data' }, spec: { size: '1Gi' } }
  const contents = { manifest, host: 'host-a', disks: [held] }
  const binned = phase === 'Binned' && { status: { phase } }
  const store = new FakeStore<RecycledResource>({
    ...entry,
    ...binned,
    spec: { ...entry.spec, ...(phase === 'Binned' && { contents }) },
  })
  const there = new Map<string, Found>()
  const api: { refusal?: string; others: RecycledResource[]; disks: Disk[]; purgesFrom?: Date } = {
    others: [],
    disks: [],
  }
  const place = ({ namespace, name }: { namespace: string; name: string }) => `${namespace}/${name}`
  const reconciler = recycledResourceReconciler({
    fleet: fakeFleet(host),
    bin: {
      fill: async (_, kept) => {
        store.change(({ spec }) => void (spec.contents = kept))
        return entry
      },
      ofDownload: () => [],
      ofFile: () => api.others,
      remove: async () => store.put(undefined),
    },
    now: () => store.now(),
    get purgesFrom() {
      return api.purgesFrom
    },
    seen: (at) => there.get(place(at)),
    read: async (at) => there.get(place(at)),
    makeNamespace: async () => 'Active',
    create: async (at) => {
      if (api.refusal !== undefined) return { type: 'refused', message: api.refusal }
      const object = { metadata: meta(at.name), status: { id: FILE } }
      there.set(place(at), object)
      return { type: 'made', object }
    },
    disown: async () => undefined,
    claimants: () => [],
    disksOfFile: () => api.disks,
    downloadedAs: () => [],
    emit: () => undefined,
  })
  return {
    store,
    host,
    there,
    api,
    uid,
    settle: () => store.settle(reconciler),
    look: () => store.reconcile(reconciler),
  }
}

const asking = (namespace: string) => newDisk({ source: { existing: { id: FILE } } }, { name: 'other', namespace })

const DAY_MS = 86_400_000

describe('RecycledResource', () => {
  test('[DEL-07] [DEL-19] is purged at its time, and never before', async () => {
    const world = newWorld('Binned')
    world.store.nowMs = 3 * DAY_MS - 1
    await world.look()
    expect(world.host.disks.size).toBe(1)
    world.store.nowMs = 3 * DAY_MS
    await world.look()
    expect([world.host.disks.size, world.store.stored]).toEqual([0, undefined])
  })

  test('[DEL-07] is not purged by time for some days after a restore, and is when it is asked for', async () => {
    const world = newWorld('Binned')
    world.api.purgesFrom = new Date(Date.parse('2026-01-01T00:00:00Z') + 9 * DAY_MS)
    world.store.nowMs = 4 * DAY_MS
    await world.settle()
    expect(world.store.condition('Ready')).toMatchObject({ status: 'True', reason: 'PurgePostponed' })
    world.store.change((one) => void (one.status = { ...one.status, phase: 'Purging' }))
    await world.settle()
    expect([world.host.disks.size, world.store.stored?.status?.phase]).toEqual([1, 'Binned'])
    world.store.change(({ spec }) => void (spec.action = 'Purge'))
    await world.settle()
    expect([world.host.disks.size, world.store.stored]).toEqual([0, undefined])
  })

  test('[DEL-08] with the policy Never is there for good, also when Purge got past the schema', async () => {
    const world = newWorld('Binned', 'Never')
    world.store.change(({ spec }) => void (spec.action = 'Purge'))
    world.store.nowMs = 9_000 * DAY_MS
    await world.settle()
    expect([world.host.disks.size, world.store.stored?.status?.phase]).toEqual([1, 'Binned'])
  })

  test('[DEL-08] with the policy Never is there for good, also when somebody wrote the phase Purging', async () => {
    const world = newWorld('Binned', 'Never')
    world.store.change((entry) => void (entry.status = { phase: 'Purging' }))
    await world.settle()
    expect([world.host.disks.size, world.store.stored?.status?.phase]).toEqual([1, 'Binned'])
  })

  test('[DEL-08] whose phase Purging somebody wrote before its time is kept until then', async () => {
    const world = newWorld('Binned')
    world.store.change((entry) => void (entry.status = { phase: 'Purging' }))
    await world.settle()
    expect([world.host.disks.size, world.store.stored?.status?.phase]).toEqual([1, 'Binned'])
    world.store.nowMs = 3 * DAY_MS
    world.store.change((entry) => void (entry.status = { phase: 'Purging' }))
    await world.settle()
    expect([world.host.disks.size, world.store.stored]).toEqual([0, undefined])
  })

  test('[DEL-08] that is purged leaves a file alone that another entry holds too', async () => {
    const world = newWorld('Binned')
    world.api.others = [newEntry('Disk', 'other', { disks: [{ ...binnedDisk('data'), id: FILE }] })]
    world.store.change(({ spec }) => void (spec.action = 'Purge'))
    await world.settle()
    expect([world.host.disks.size, world.store.stored]).toEqual([1, undefined])
  })

  test.each(['Binned', 'Recovering', 'Purging'] as const)(
    '[DEL-09] that holds nothing yet is not over when somebody writes the phase %s',
    async (phase) => {
      const world = newWorld('Pending')
      world.there.set('shop/data', {
        metadata: meta('data', { uid: world.uid, deletionTimestamp: '2026-01-01T00:00:00Z' }),
      })
      world.store.change((one) => void (one.status = { phase }))
      await world.settle()
      expect(world.store.condition('Ready')).toMatchObject({ reason: 'PuttingAway' })
    },
  )

  test('waits for its host before it is purged', async () => {
    const world = newWorld('Binned')
    world.host.state = 'Unreachable'
    world.store.change(({ spec }) => void (spec.action = 'Purge'))
    await world.settle()
    expect(world.store.condition('Ready')).toMatchObject({ reason: 'HostUnreachable' })
    world.host.state = 'Connected'
    await world.look()
    expect([world.host.disks.size, world.store.stored]).toEqual([0, undefined])
  })

  test('[DEL-16] is not recovered over another object, and is once the name is free', async () => {
    const world = newWorld('Binned')
    world.there.set('shop/data', { metadata: meta('another') })
    world.store.change(({ spec }) => void (spec.action = 'Recover'))
    await world.settle()
    expect(world.store.condition('Ready')).toMatchObject({ reason: 'NameTaken' })
    expect(world.store.stored?.status?.phase).toBe('Binned')
    world.there.clear()
    await world.look()
    expect([world.host.disks.size, world.store.stored]).toEqual([1, undefined])
  })

  test('[DEL-16] whose object another finalizer keeps says which, and is recovered once it is gone', async () => {
    const world = newWorld('Binned')
    const finalizers = ['example.com/audit', 'storage.holdfast.dev/disk']
    world.there.set('shop/data', { metadata: meta('data', { uid: world.uid, finalizers }) })
    world.store.change(({ spec }) => void (spec.action = 'Recover'))
    await world.settle()
    expect(world.store.condition('Ready')?.message).toBe(
      'The object is in the bin, and goes once the finalizer example.com/audit is taken off by whoever put it there',
    )
    world.there.clear()
    await world.look()
    expect([[...world.there.keys()], world.store.stored]).toEqual([['shop/data'], undefined])
  })

  test('[DEL-16] that cannot be made there goes elsewhere, or back into the bin, as its message says', async () => {
    const world = newWorld('Binned')
    world.api.refusal = 'there is a limit'
    world.store.change(({ spec }) => Object.assign(spec, { action: 'Recover', recoverAs: { name: 'x' } }))
    await world.settle()
    expect(world.store.stored?.status).toMatchObject({ phase: 'Recovering', recoverTo: { name: 'x' } })
    expect(world.store.condition('Ready')?.message).toBe(
      'Disk shop/x cannot be made: there is a limit; or write another place into spec.recoverAs of this entry, or take its spec.action away',
    )
    world.store.change(({ spec }) => void delete spec.action)
    await world.settle()
    expect(world.store.stored?.status).toMatchObject({ phase: 'Binned' })
    expect(world.store.stored?.status).not.toHaveProperty('recoverTo')
    delete world.api.refusal
    world.store.change(({ spec }) => Object.assign(spec, { action: 'Recover', recoverAs: { name: 'y' } }))
    await world.settle()
    expect([[...world.there.keys()], world.store.stored]).toEqual([['shop/y'], undefined])
  })

  test('[DEL-16] that begins to be made in one place is not made in another one too', async () => {
    const world = newWorld('Binned')
    world.store.change(({ spec }) => void (spec.action = 'Recover'))
    world.api.refusal = 'there is a limit'
    await world.settle()
    // As a controller leaves it that ended right after it had made the object.
    const annotations = { 'holdfast.dev/recovered-from': world.uid }
    world.there.set('shop/data', { metadata: meta('data', { annotations }) })
    world.store.change(({ spec }) => Object.assign(spec, { recoverAs: { name: 'x' } }))
    await world.settle()
    expect(world.store.stored?.status).toMatchObject({ phase: 'Recovering', recoverTo: { name: 'data' } })
    world.there.set('shop/data', { metadata: meta('data', { annotations }), status: { id: FILE } })
    await world.look()
    expect([[...world.there.keys()], world.store.stored]).toEqual([['shop/data'], undefined])
  })

  test('[DEL-16] is not put back beside another entry that has its file by now', async () => {
    const world = newWorld('Binned')
    world.store.change(({ spec }) => void (spec.action = 'Recover'))
    world.api.refusal = 'there is a limit'
    await world.settle()
    world.api.others = [new FakeBin().stamp(disk('another'))]
    world.store.change(({ spec }) => void delete spec.action)
    await world.settle()
    expect(world.store.stored?.status?.phase).toBe('Recovering')
    expect(world.store.condition('Ready')?.message).toBe('Disk shop/data cannot be made: there is a limit')
  })

  test('[DEL-16] is put back although another Disk asks for its file, and not once one has it', async () => {
    const world = newWorld('Binned')
    world.store.change(({ spec }) => void (spec.action = 'Recover'))
    world.api.refusal = 'there is a limit'
    world.api.disks = [disk('other', { id: FILE })]
    await world.settle()
    world.store.change(({ spec }) => void delete spec.action)
    await world.settle()
    expect(world.store.stored?.status?.phase).toBe('Recovering')
    world.api.disks = [asking('shop')]
    await world.settle()
    expect(world.store.stored?.status?.phase).toBe('Binned')
  })

  test.each([
    ['stays', 'asks for it in another namespace', asking('elsewhere')],
    ['goes', 'asks for it in its own', asking('shop')],
    ['goes', 'has it, wherever that is', disk('other', { id: FILE }, { namespace: 'elsewhere' })],
  ])('[DEL-04] of a file whose Disk was not put away %s while another Disk %s', async (end, _name, other) => {
    const world = newWorld('Pending')
    world.api.disks = [other]
    const held = { name: 'data', uid: world.uid, id: FILE, dataStorage: 'local', size: '1Gi' }
    world.store.change(({ spec }) => Object.assign(spec, { lastSeen: { manifest: {}, disks: [held] } }))
    await world.settle()
    expect(world.store.stored?.status?.phase).toBe(end === 'stays' ? 'Binned' : undefined)
  })

  test('[DEL-04] [DEL-08] keeps what its delete saw of an object that went without being put away', async () => {
    const world = newWorld('Pending', 'Never')
    const held = { name: 'data', uid: world.uid, id: FILE, dataStorage: 'local', size: '1Gi' }
    const lastSeen = { manifest: { metadata: { name: 'data' }, spec: { size: '1Gi' } }, host: 'host-a', disks: [held] }
    world.store.change(({ spec }) => Object.assign(spec, { lastSeen }))
    await world.settle()
    expect(world.store.stored).toMatchObject({ spec: { contents: lastSeen }, status: { phase: 'Binned' } })
  })

  test.each([
    ['destroys the file of a disk whose finalizer was taken off', {}, 0],
    ['leaves the file of one that was made for a machine', { [MACHINE_ID_LABEL]: MACHINE }, 1],
  ])('[DEL-03] under Immediate %s', async (_, labels, files) => {
    const world = newWorld('Pending', 'Immediate')
    const held = { name: 'data', uid: world.uid, id: FILE, dataStorage: 'local', size: '1Gi' }
    const manifest = { metadata: { name: 'data', labels }, spec: { size: '1Gi' } }
    world.store.change(({ spec }) => Object.assign(spec, { lastSeen: { manifest, host: 'host-a', disks: [held] } }))
    world.host.state = 'Unreachable'
    await world.settle()
    world.host.state = 'Connected'
    await world.look()
    expect([world.host.disks.size, world.store.stored]).toEqual([files, undefined])
  })

  test('is removed where its file went along with a machine, which has it in an entry of its own', async () => {
    const world = newWorld('Pending')
    world.api.others = [new FakeBin().stamp(disk('another'))]
    const held = { name: 'data', uid: world.uid, id: FILE, dataStorage: 'local', size: '1Gi' }
    world.store.change(({ spec }) => Object.assign(spec, { lastSeen: { manifest: {}, disks: [held] } }))
    await world.settle()
    expect([world.host.disks.size, world.store.stored]).toEqual([1, undefined])
  })

  test('writes nothing while all is well', async () => {
    const world = newWorld('Binned')
    await world.settle()
    const { writes } = world.store
    await world.look()
    expect(world.store.writes).toBe(writes)
  })

  test.each([
    ['lives on undeleted', 'Delayed', {}, 121_000, false],
    ['lives on undeleted', 'Delayed', {}, 100_000, true],
    ['is being deleted', 'Delayed', { deletionTimestamp: '2026-01-01T00:00:00Z' }, 900_000, true],
    ['is destroyed', 'Immediate', undefined, 1_000, false],
    ['went along with its machine', 'Delayed', undefined, 1_000, false],
  ] as const)(
    'that is pending while its object %s (%s, %o, after %d ms) is there: %o',
    async (...[, policy, found, ageMs, stays]) => {
      const world = newWorld('Pending', policy)
      if (found) world.there.set('shop/data', { metadata: meta('data', { ...found, uid: world.uid }) })
      world.store.nowMs = ageMs
      await world.look()
      expect(world.store.stored !== undefined).toBe(stays)
    },
  )
})
