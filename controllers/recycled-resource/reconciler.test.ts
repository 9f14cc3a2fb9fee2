import { guest } from '../fleet/testing.ts'
import { describe, expect, test } from 'vitest'
import { binnedDisk, disk, entry as newEntry, meta } from '../../crds/testing/objects.ts'
import { FakeBin } from '../recycle-bin/fake-bin.ts'
import { asking, FILE, newWorld } from './testing.ts'

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

  test('[DEL-19] is not purged when a read of the API server tells that it is not so late', async () => {
    const world = newWorld('Binned')
    world.store.nowMs = 3 * DAY_MS
    world.api.onRead = () => void (world.store.nowMs = 3 * DAY_MS - 1)
    await world.settle()
    expect(world.store.patches.map(({ phase }) => phase)).not.toContain('Purging')
    expect([world.host.disks.size, world.store.stored?.status?.phase]).toEqual([1, 'Binned'])
    world.api.onRead = () => undefined
    world.store.nowMs = 3 * DAY_MS
    await world.settle()
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

  test('[DEL-08] whose file a machine of its host has is not begun to be destroyed, and can still be brought back', async () => {
    const world = newWorld('Binned')
    const disks = [{ id: FILE, storage: 'local' }]
    world.host.machines.note(guest(1, { disks }))
    world.store.change(({ spec }) => void (spec.action = 'Purge'))
    const { retryAfterMs } = await world.settle()
    expect([world.host.disks.size, world.store.stored?.status?.phase, retryAfterMs]).toEqual([1, 'Binned', 30_000])
    expect(world.store.condition('ActionPossible')).toMatchObject({
      reason: 'InUse',
      message: expect.stringMatching(
        /^Machine .* of Host host-a has a disk of it: recover this entry and adopt the machine/,
      ),
    })
    world.host.machines.note(guest(1, { disks: [], revision: 2 }))
    world.host.state = 'Connecting'
    await world.settle()
    expect([world.host.disks.size, world.store.stored?.status?.phase]).toEqual([1, 'Binned'])
    expect(world.store.condition('ActionPossible')).toMatchObject({ reason: 'HostUnreachable' })
    world.host.state = 'Connected'
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

  test('[DEL-08] that is purged leaves a file alone that a Disk has, and not one that a Disk asks for', async () => {
    const world = newWorld('Binned')
    world.api.disks = [disk('other', { id: FILE }, { namespace: 'elsewhere' })]
    world.store.change(({ spec }) => void (spec.action = 'Purge'))
    await world.settle()
    expect([world.host.disks.size, world.store.stored]).toEqual([1, undefined])
    const next = newWorld('Binned')
    next.api.disks = [asking('shop')]
    next.store.change(({ spec }) => void (spec.action = 'Purge'))
    await next.settle()
    expect([next.host.disks.size, next.store.stored]).toEqual([0, undefined])
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
    await world.settle()
    world.api.disks = [disk('other', { id: FILE })]
    world.store.change(({ spec }) => void delete spec.action)
    await world.settle()
    expect(world.store.stored?.status?.phase).toBe('Recovering')
    world.api.disks = [asking('shop')]
    await world.settle()
    expect(world.store.stored?.status?.phase).toBe('Binned')
  })

  test('[DEL-16] is not recovered while another Disk has its file, and is once that is gone', async () => {
    const world = newWorld('Binned')
    world.api.disks = [disk('other', { id: FILE })]
    world.store.change(({ spec }) => void (spec.action = 'Recover'))
    await world.settle()
    const message = 'Disk shop/other has its file: use that one, or delete it first'
    expect(world.store.condition('Ready')).toMatchObject({ reason: 'RecoveryRefused', message })
    expect([world.there.size, world.store.stored?.status?.phase]).toEqual([0, 'Binned'])
    world.api.disks = [asking('shop')]
    await world.look()
    expect([[...world.there.keys()], world.store.stored]).toEqual([['shop/data'], undefined])
  })

  test('writes nothing while all is well', async () => {
    const world = newWorld('Binned')
    await world.settle()
    const { writes } = world.store
    await world.look()
    expect(world.store.writes).toBe(writes)
  })
})
