import { describe, expect, test } from 'vitest'
import { attachment, disk, entry, image, machine } from '../../../crds/testing/objects.ts'
import { World } from '../testing.ts'

const GI = 2 ** 30

describe('VirtualMachine', () => {
  test('does not stand in its own way when its placement could not be stored', async () => {
    const world = new World(machine({ memory: '20Gi' }))
    world.store.crash = new Error('somebody else was faster')
    await expect(world.reconcile()).rejects.toThrow('faster')
    world.store.crash = undefined
    await world.reconcile()
    expect(world.stored?.status).toMatchObject({ host: 'host-a' })
  })

  test('that fits nowhere says so, and is placed as soon as there is room', async () => {
    const world = new World(machine({ memory: '20Gi' }))
    world.hostMemoryBytes = 8 * GI
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({
      reason: 'NoHostFits',
      message: 'No host fits: host-a has 7Gi of memory left, 20Gi are asked: ask for less, make room, or add a Host',
    })
    expect(world.stored?.status).toMatchObject({ printableStatus: 'ErrorUnschedulable' })
    expect(world.stored?.status?.machineId).toBeUndefined()
    const { writes } = world
    await world.reconcile(3)
    expect(world.writes).toBe(writes)

    world.hostMemoryBytes = 64 * GI
    await world.reconcile()
    expect(world.stored?.status).toMatchObject({ host: 'host-a' })
  })

  test('gets a root disk whose size can be written in a spec, however odd its image is', async () => {
    const world = new World(machine())
    world.images.set('debian', image({ virtualSize: '1000000512' }))
    await world.reconcile()
    expect(world.disks.get('web-root')?.spec.size).toBe('954Mi')
  })

  test.each([
    [
      'does not exist',
      (world: World) => world.disks.clear(),
      'DiskNotFound',
      'There is no Disk data in namespace shop: create it',
    ],
    [
      'is on no storage yet',
      (world: World) => void world.disks.set('data', { ...disk('data'), status: {} }),
      'DiskNotReady',
      'Disk data is not on a data storage yet: see its conditions',
    ],
    [
      'is on another host than its image',
      (world: World) => void world.disks.set('data', disk('data', { host: 'host-b' })),
      'NoHostFits',
      'No host fits: host-a does not reach its disks and image: mend what is said of one, or add a Host',
    ],
  ])('is not placed while a disk that it names %s', async (_name, spoil, reason, message) => {
    const world = new World(machine({ disks: [attachment('data')] }))
    spoil(world)
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'False', reason, message })
    expect(world.stored?.status?.host).toBeUndefined()

    world.disks.set('data', disk('data'))
    await world.reconcile()
    expect(world.stored?.status?.host).toBe('host-a')
  })

  test('[DEL-15] is given no Ethernet address that the recycle bin keeps', async () => {
    const world = new World(machine())
    const addresses = [{ mac: '02:00:00:00:00:01' }, { mac: '02:00:00:00:00:02' }]
    const kept = entry('VirtualMachine', 'old', { addresses })
    world.recycled.entries.set(kept.metadata.name, kept)
    await world.reconcile()
    expect(world.stored?.status?.networks).toEqual([{ mac: '02:00:00:00:00:03' }])
  })

  test('is bound to where it was placed: a change of placement only says so', async () => {
    const world = new World(machine())
    await world.reconcile()
    world.finishDisk('web-root')
    await world.reconcile()
    world.store.change(({ spec }) => void (spec.placement = { host: 'host-b' }))
    await world.reconcile(3)
    expect(world.condition('SpecApplied')).toMatchObject({ status: 'False', reason: 'PlacementFixed' })
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.stored?.status?.host).toBe('host-a')
    expect(world.events).toEqual(['Normal Ready', 'Warning PlacementFixed'])
  })
})
