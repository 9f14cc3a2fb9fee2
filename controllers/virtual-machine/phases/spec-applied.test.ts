import { describe, expect, test } from 'vitest'
import { fileIdOf } from '../../../crds/disk.ts'
import { attachment, disk, machine, newDisk } from '../../../crds/testing/objects.ts'
import { running, World } from '../testing.ts'

const GI = 2 ** 30

describe('VirtualMachine', () => {
  test.each([
    ['is asked to', {}, 'DetachingDisk', 'Disk data is being detached'],
    ['fails to', { message: 'no' }, 'DetachingDisk', 'Disk data is being detached: no'],
    [
      'does not',
      { isKept: true },
      'GuestKeepsDisk',
      'The guest does not give Disk data back: unmount it there, or request Restart in spec.power',
    ],
  ])('keeps a detached disk claimed while its guest %s give it back', async (_name, how, reason, message) => {
    const { world, data } = withData()
    await world.reconcile()
    world.finishDisk('web-root')
    await world.reconcile()
    const id = world.stored?.status?.machineId ?? ''
    world.host.pendingDisks = [{ id: data.metadata.uid, action: 'Detach', ...how }]
    if (world.stored) world.stored.spec.disks = []
    await world.settle()
    expect(world.disks.get('data')?.status?.attachedTo?.machineId).toBe(id)
    expect(world.condition('SpecApplied')).toMatchObject({ status: 'False', reason, message })
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    const { writes } = world
    await world.reconcile(3)
    expect(world.writes).toBe(writes)

    world.host.pendingDisks = []
    world.host.session++
    await world.reconcile()
    expect(world.disks.get('data')?.status?.attachedTo).toBeUndefined()
    expect(world.condition('SpecApplied')).toMatchObject({ status: 'True' })
  })

  test('leaves a guest the disk that it has and that nothing here gives it, and says how to settle that', async () => {
    const world = await withUnnamed()
    expect(world.host.orders.at(-1)).not.toHaveProperty('detach')
    expect(world.condition('SpecApplied')).toMatchObject({
      status: 'False',
      reason: 'DiskInUse',
      message:
        'The guest has Disk data, which spec.disks does not name: name it there, or request Restart in spec.power to have it taken out',
    })
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    const { machineId = '' } = world.stored?.status ?? {}
    world.store.change(({ spec }) => void (spec.disks = [attachment('data')]))
    await world.settle()
    expect(world.disks.get('data')?.status?.attachedTo).toMatchObject({ machineId })
    expect(world.condition('SpecApplied')).toMatchObject({ status: 'True' })
  })

  test('tells of such a disk, so that nobody deletes it, until it is named, also while its host is away', async () => {
    const world = await withUnnamed()
    const shown = () => world.stored?.status?.unnamedDisks
    expect(shown()).toEqual(['data'])
    // Another one that asks for its file is not it.
    const [root, data] = [...world.disks.values()]
    if (!root || !data) throw new Error('it has no two disks')
    world.disks.clear()
    world.disks.set('asks', newDisk({ source: { existing: { id: fileIdOf(data) } } }, { name: 'asks' }))
    for (const one of [root, data]) world.disks.set(one.metadata.name, one)
    await world.settle()
    expect(shown()).toEqual(['data'])
    const { writes } = world
    await world.reconcile(3)
    expect(world.writes).toBe(writes)
    world.unplug()
    await world.settle()
    expect(shown()).toEqual(['data'])
    world.host.state = 'Connected'
    world.host.fault = undefined
    world.store.change(({ spec }) => void (spec.disks = [attachment('data')]))
    await world.settle()
    expect(shown()).toBeUndefined()
  })

  test('says that a disk is attached, or that it waits for the next start', async () => {
    const { world, data } = withData()
    world.host.pendingDisks = [{ id: data.metadata.uid, action: 'Attach' }]
    await world.reconcile()
    world.finishDisk('web-root')
    await world.settle()
    expect(world.condition('SpecApplied')).toMatchObject({
      reason: 'AttachingDisk',
      message: 'Disk data is being attached',
    })
    world.host.pendingRestart = ['disks']
    world.host.session = 2
    await world.settle()
    expect(world.condition('SpecApplied')).toMatchObject({ status: 'False', reason: 'RestartRequired' })
  })

  test('keeps what it has while its host has no room for more, and gets it once there is', async () => {
    const world = await running({ memory: '1Gi' })
    world.hostMemoryBytes = 8 * GI
    if (world.stored) world.stored.spec.memory = '16Gi'
    await world.settle()
    expect(world.condition('SpecApplied')).toMatchObject({
      status: 'False',
      reason: 'HostFull',
      message: 'Host host-a has 7Gi of memory left, 16Gi are asked: ask for less, or make room there',
    })
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.stored?.status?.allocated).toMatchObject({ memory: '1Gi' })
    // Neither is more ordered when it is restarted.
    if (world.stored) world.stored.spec.power = { request: 'Restart', at: world.store.now().toISOString() }
    await world.settle()
    expect(world.host.orders.at(-1)).toMatchObject({ once: 'Restart', memoryBytes: GI })

    world.hostMemoryBytes = 32 * GI
    await world.settle()
    expect(world.stored?.status?.allocated).toMatchObject({ memory: '16Gi' })
    expect(world.host.orders.at(-1)).toMatchObject({ memoryBytes: 16 * GI })
    expect(world.condition('SpecApplied')).toMatchObject({ status: 'True' })
  })

  test('counts what its process has until that has ended, when its spec asks for less', async () => {
    const world = await running({ memory: '8Gi' })
    world.host.has = { cpus: 1, memoryBytes: 8 * GI }
    world.host.pendingRestart = ['memoryBytes']
    if (world.stored) world.stored.spec.memory = '1Gi'
    await world.settle()
    expect(world.host.orders.at(-1)).toMatchObject({ memoryBytes: GI })
    expect(world.stored?.status?.allocated).toMatchObject({ memory: '8Gi' })
    expect(world.condition('SpecApplied')).toMatchObject({
      reason: 'RestartRequired',
      message: 'Changes of memory take effect at the next start: request Restart in spec.power',
    })

    world.host.has = undefined
    world.host.pendingRestart = []
    if (world.stored) world.stored.spec.power = { request: 'Restart', at: world.store.now().toISOString() }
    await world.settle()
    expect(world.stored?.status?.allocated).toMatchObject({ memory: '1Gi' })
    expect(world.condition('SpecApplied')).toMatchObject({ status: 'True' })
  })
})

/** A machine with a second disk. */
function withData() {
  const world = new World(machine({ disks: [attachment('data')] }))
  const data = disk('data')
  world.disks.set('data', data)
  return { world, data }
}

/** A machine whose guest has a disk that its records do not know of, as in a state from before it was attached. */
async function withUnnamed(): Promise<World> {
  const { world, data } = withData()
  await world.reconcile()
  world.finishDisk('web-root')
  await world.settle()
  data.status = { ...disk('data').status }
  world.store.change(({ spec }) => void (spec.disks = []))
  world.restart()
  await world.settle()
  return world
}
