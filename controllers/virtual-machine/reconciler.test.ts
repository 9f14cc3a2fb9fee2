import { describe, expect, test } from 'vitest'
import { AgentError } from '../../agent/errors.ts'
import { attachment, disk, image, machine } from '../../crds/testing/objects.ts'
import { running, World } from './testing.ts'

describe('VirtualMachine', () => {
  test('is placed, gets its disk, runs: two status writes and one event', async () => {
    const world = new World(machine())
    await world.reconcile()
    world.finishDisk('web-root')
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True', observedGeneration: 1 })
    expect(world.stored?.status).toMatchObject({
      host: 'host-a',
      printableStatus: 'Running',
      rootDisk: 'web-root',
      dataStorage: 'local',
    })
    expect(world.writes).toBe(2)
    expect(world.events).toEqual(['Normal Ready'])
  })

  test('writes nothing and asks nothing of its host while all is well', async () => {
    const world = await running()
    const { writes } = world
    const orders = world.host.orders.length
    await world.reconcile(3)
    expect(world.writes).toBe(writes)
    expect(world.host.orders).toHaveLength(orders)
  })

  test('stores host, identity and decision before any disk or host hears of it', async () => {
    const world = new World(machine())
    world.store.crash = new Error('the API server went away')
    await expect(world.reconcile()).rejects.toThrow('went away')
    expect(world.disks.size).toBe(0)
    expect(world.host.orders).toEqual([])
  })

  test('keeps its identity and gives the same order when the controllers start anew', async () => {
    const world = await running()
    const before = world.stored?.status
    world.restart()
    world.host.session = 2
    await world.reconcile()
    expect(world.stored?.status).toEqual(before)
    expect(world.host.orders.at(-1)).toEqual(world.host.orders.at(0))
  })

  test.each([
    ['there is no image', (world: World) => world.images.clear(), 'ImageNotFound', /create it/],
    [
      'its image is refused',
      (world: World) => {
        const refused = {
          type: 'Ready',
          status: 'False',
          reason: 'ImageRefused',
          message: 'it has a backing file',
        } as const
        world.images.set('debian', image({ conditions: [{ ...refused, lastTransitionTime: '2026-01-01T00:00:00Z' }] }))
      },
      'ImageNotReady',
      /it has a backing file/,
    ],
    [
      'its host lacks the image',
      (world: World) => void world.images.set('debian', image({ hosts: [] })),
      'NoHostFits',
      /does not reach/,
    ],
    [
      'its disk name is taken',
      (world: World) => void world.disks.set('web-root', disk('web-root')),
      'DiskNameTaken',
      /is not this machine's/,
    ],
  ])('says what to do when %s, and starts nothing', async (_name, spoil, reason, message) => {
    const world = new World(machine())
    spoil(world)
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'False', reason, message: expect.stringMatching(message) })
    expect(world.host.orders).toEqual([])
  })

  test('is refused a root disk that is smaller than its image', async () => {
    const world = new World(machine({ rootDisk: { imageRef: { name: 'debian' }, size: '1Gi' } }))
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({
      reason: 'DiskTooSmall',
      message: expect.stringContaining('2Gi or more'),
    })
  })

  test('does not start with a disk that another machine has', async () => {
    const world = new World(machine({ rootDisk: { diskRef: { name: 'boot' } } }))
    const attachedTo = { virtualMachine: 'other', machineId: '11111111-1111-4111-8111-111111111111' }
    world.disks.set('boot', disk('boot', { attachedTo }))
    world.others.set('other', { ...machine(), status: { machineId: attachedTo.machineId } })
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ reason: 'DiskInUse', message: expect.stringContaining('other') })
    expect(world.disks.get('boot')?.status?.attachedTo).toEqual(attachedTo)
    expect(world.host.orders).toEqual([])
  })

  test('claims an existing disk, and gives it back when it no longer has it', async () => {
    const world = new World(machine({ disks: [attachment('data')] }))
    world.disks.set('data', disk('data'))
    await world.reconcile()
    world.finishDisk('web-root')
    await world.reconcile()
    expect(world.disks.get('data')?.status?.attachedTo?.virtualMachine).toBe('web')

    if (world.stored) world.stored.spec.disks = []
    await world.reconcile()
    expect(world.disks.get('data')?.status?.attachedTo).toBeUndefined()
  })

  test('that runs is shown as Running while its host refuses what it is to be', async () => {
    const world = await running()
    world.host.fault = new AgentError('DISK_NOT_FOUND', 'its file is gone')
    world.store.change(({ spec }) => void (spec.cpus = 3))
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'False', reason: 'DiskNotFound' })
    expect(world.stored?.status?.printableStatus).toBe('Running')
  })

  test('is stopped by a decision with a higher epoch, even while its disks are not ready', async () => {
    const world = await running()
    const epoch = world.stored?.status?.decision?.epoch ?? 0
    world.disks.clear()
    world.images.clear()
    if (world.stored) world.stored.spec.runStrategy = 'Halted'
    await world.settle()
    expect(world.host.orders.at(-1)).toMatchObject({ power: 'Stopped', decision: { epoch: epoch + 1 } })
    expect(world.stored?.status?.printableStatus).toBe('Stopped')
  })

  test('takes over what its host holds when the platform was restored from an older state', async () => {
    const world = await running()
    const id = world.stored?.status?.machineId ?? ''
    const newer = { id: '22222222-2222-4222-8222-222222222222', epoch: 7 }
    const held = world.host.machines.get(id)
    if (held) world.host.machines.note({ ...held, decision: newer, revision: 99 })
    world.restart()
    await world.reconcile()
    expect(world.stored?.status?.decision).toMatchObject({ epoch: 8, follows: expect.arrayContaining([newer.id]) })
    expect(world.host.orders.at(-1)).toMatchObject({ decision: { epoch: 8 }, power: 'Running' })
  })

  test('whose guest was started after the state was stored that its platform was restored from lets it run on', async () => {
    const world = await running({ runStrategy: 'Halted' })
    const id = world.stored?.status?.machineId ?? ''
    const newer = { id: '22222222-2222-4222-8222-222222222222', epoch: 7 }
    const held = world.host.machines.get(id)
    if (held) world.host.machines.note({ ...held, decision: newer, power: 'Running', state: 'Running' })
    world.restart()
    const orders = world.host.orders.length
    await world.settle()
    expect(world.host.orders).toHaveLength(orders)
    expect(world.condition('Ready')).toMatchObject({
      reason: 'StartedSince',
      message: expect.stringContaining('set runStrategy to Always to have it so'),
    })

    world.store.change(({ spec }) => void (spec.runStrategy = 'Always'))
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    world.store.change(({ spec }) => void (spec.runStrategy = 'Halted'))
    await world.settle()
    expect(world.host.orders.at(-1)).toMatchObject({ power: 'Stopped' })
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
  })

  test('is Unknown while its host does not answer, and nothing is concluded from it', async () => {
    const world = await running()
    const before = world.stored?.status
    world.unplug()
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'Unknown', reason: 'HostUnreachable' })
    expect(world.stored?.status).toMatchObject({
      printableStatus: 'Unknown',
      host: 'host-a',
      decision: before?.decision,
    })
  })

  test('says why its host refuses it', async () => {
    const world = new World(machine())
    await world.reconcile()
    world.finishDisk('web-root')
    world.host.fault = new AgentError('QEMU_UNAVAILABLE', 'QEMU is not installed: apt-get install qemu-system-x86')
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({
      reason: 'HostRefused',
      message: expect.stringContaining('apt-get install'),
    })
  })

  test('is removed with its root disk; other disks are kept and given back', async () => {
    const world = new World(machine({ disks: [attachment('data')] }))
    world.disks.set('data', disk('data'))
    await world.reconcile()
    world.finishDisk('web-root')
    await world.reconcile()
    remove(world)
    await world.reconcile()
    expect(world.stored).toBeUndefined()
    expect(world.host.orders.at(-1)).toMatchObject({ power: 'Absent' })
    expect([...world.disks.keys()]).toEqual(['data'])
    expect(world.disks.get('data')?.status?.attachedTo).toBeUndefined()
  })

  test('keeps its finalizer and its disk until the host has removed it', async () => {
    const world = await running()
    remove(world)
    world.unplug()
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({
      status: 'False',
      reason: 'Deleting',
      message: expect.stringContaining('does not answer'),
    })
    expect(world.disks.has('web-root')).toBe(true)
    expect(world.stored?.status?.printableStatus).toBe('Terminating')
  })

  test('that was never placed is removed at once', async () => {
    const world = new World(machine())
    remove(world)
    await world.reconcile()
    expect(world.stored).toBeUndefined()
  })
})

function remove(world: World): void {
  if (world.stored) world.stored.metadata.deletionTimestamp = '2026-01-01T00:00:00Z'
}
