import { describe, expect, test } from 'vitest'
import { disk, machine } from '../../../crds/testing/objects.ts'
import { World } from '../testing.ts'

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
})

/** A machine with a second disk. */
function withData() {
  const world = new World(machine({ disks: [{ diskRef: { name: 'data' } }] }))
  const data = disk('data')
  world.disks.set('data', data)
  return { world, data }
}
