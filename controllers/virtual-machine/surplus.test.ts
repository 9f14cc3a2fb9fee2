import { describe, expect, test } from 'vitest'
import { attachment, disk, machine } from '../../crds/testing/objects.ts'
import { MACHINE_ID_LABEL } from '../../crds/virtual-machine.ts'
import { World } from './testing.ts'

const OTHER = '11111111-1111-4111-8111-111111111111'

/** Names another disk in the place of the machine's own; that one is still another machine's. */
function swap(world: World): void {
  world.disks.set('taken', disk('taken', { attachedTo: { virtualMachine: 'other', machineId: OTHER } }))
  world.others.set('other', { ...machine(), status: { machineId: OTHER } })
  world.store.change(({ spec }) => void (spec.disks = [attachment('taken')]))
}

async function withData(): Promise<World> {
  const world = new World(machine({ disks: [attachment('data')] }))
  world.disks.set('data', disk('data'))
  await world.reconcile()
  world.finishDisk('web-root')
  await world.settle()
  return world
}

const idOf = (world: World, name: string) => world.disks.get(name)?.metadata.uid
const holder = (world: World, name: string) => world.disks.get(name)?.status?.attachedTo?.virtualMachine
const lastOrder = ({ host }: World) => host.orders.at(-1)

describe('A machine whose disks are not all there', () => {
  test('gives back the ones that it no longer names, and runs on', async () => {
    const world = await withData()
    const { decision } = world.stored?.status ?? {}
    swap(world)
    await world.settle()
    expect(holder(world, 'data')).toBeUndefined()
    expect(lastOrder(world)).toMatchObject({ power: 'Running', disks: [{ id: idOf(world, 'web-root') }] })
    expect(world.stored?.status?.decision).toEqual(decision)
    expect(world.condition('DisksReady')).toMatchObject({ status: 'False', reason: 'DiskInUse' })
    const { orders } = world.host
    const given = orders.length
    await world.reconcile(3)
    expect(orders).toHaveLength(given)

    world.disks.set('taken', disk('taken'))
    await world.settle()
    expect(lastOrder(world)?.disks).toHaveLength(2)
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
  })

  test('gives back one that somebody labelled for another machine meanwhile', async () => {
    const world = await withData()
    const { metadata } = world.disks.get('data') ?? {}
    if (metadata) metadata.labels = { [MACHINE_ID_LABEL]: OTHER }
    world.store.change(({ spec }) => void (spec.disks = []))
    await world.settle()
    expect(holder(world, 'data')).toBeUndefined()
  })

  test.each([
    ['another name', { virtualMachine: 'older' }, {}],
    ['another namespace', {}, { namespace: 'lab' }],
  ])('keeps one that the records give to a machine of %s', async (_, attached, where) => {
    const world = await withData()
    const { metadata, status } = world.disks.get('data') ?? {}
    Object.assign(status?.attachedTo ?? {}, attached)
    Object.assign(metadata ?? {}, where)
    world.store.change(({ spec }) => void (spec.disks = [attachment('missing')]))
    await world.settle()
    expect(lastOrder(world)?.disks).toHaveLength(2)
    expect(lastOrder(world)).not.toHaveProperty('detach')
  })

  test('keeps one that its guest has not given back', async () => {
    const world = await withData()
    world.host.pendingDisks = [{ id: idOf(world, 'data') ?? '', action: 'Detach' }]
    swap(world)
    await world.settle()
    expect(lastOrder(world)?.disks).toHaveLength(1)
    expect(holder(world, 'data')).toBe('web')
  })

  test('keeps one that it names and that is not usable for now', async () => {
    const world = await withData()
    const given = world.host.orders.length
    const data = world.disks.get('data')
    if (data) data.metadata.deletionTimestamp = new Date().toISOString()
    await world.settle()
    expect(world.condition('DisksReady')).toMatchObject({ reason: 'DiskNotReady' })
    expect(world.host.orders).toHaveLength(given)
    expect(holder(world, 'data')).toBe('web')
  })

  test('keeps all while its host does not answer', async () => {
    const world = await withData()
    world.unplug()
    swap(world)
    await world.settle()
    expect(holder(world, 'data')).toBe('web')
  })

  test('gives them back too when it is off and is to be started at once', async () => {
    const world = await withData()
    world.store.change(({ spec }) => void (spec.runStrategy = 'Halted'))
    await world.settle()
    const stopped = lastOrder(world)?.decision
    swap(world)
    world.store.change(({ spec }) => void (spec.runStrategy = 'Always'))
    await world.settle()
    expect(lastOrder(world)).toMatchObject({ power: 'Stopped', decision: { id: stopped?.id, epoch: stopped?.epoch } })
    expect(lastOrder(world)?.disks).toHaveLength(1)
    expect(holder(world, 'data')).toBeUndefined()

    world.disks.set('taken', disk('taken'))
    await world.settle()
    expect(lastOrder(world)).toMatchObject({ power: 'Running' })
    expect(lastOrder(world)?.disks).toHaveLength(2)
  })

  test('is not restarted for a request before they are there', async () => {
    const world = await withData()
    swap(world)
    world.store.change(({ spec }) => void (spec.power = { request: 'Restart', at: world.store.now().toISOString() }))
    await world.settle()
    expect(world.host.orders.some(({ once }) => once !== undefined)).toBe(false)
    expect(world.condition('PowerStateReached')).toMatchObject({
      status: 'False',
      message: 'Request Restart is carried out once its disks are ready: see DisksReady',
    })
    world.disks.set('taken', disk('taken'))
    await world.settle()
    expect(lastOrder(world)).toMatchObject({ once: 'Restart' })
  })

  test('does not get one that its host says another machine has, whatever the records say', async () => {
    const world = new World(machine({ disks: [attachment('data')] }))
    world.disks.set('data', disk('data', { heldBy: { machineId: OTHER } }))
    await world.reconcile()
    world.finishDisk('web-root')
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({
      reason: 'DiskInUse',
      message: `Machine ${OTHER} of the host has Disk data: see the message of the Disk, or use another disk`,
    })
    expect(world.disks.get('data')?.status?.attachedTo).toBeUndefined()

    world.disks.set('data', disk('data'))
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
  })

  test('gives back one that was claimed and never ordered', async () => {
    const world = new World(machine({ disks: [attachment('data')] }))
    world.disks.set('data', disk('data'))
    swap(world)
    world.store.change(({ spec }) => void spec.disks.unshift(attachment('data')))
    await world.reconcile()
    world.finishDisk('web-root')
    await world.settle()
    expect(holder(world, 'data')).toBe('web')
    world.store.change(({ spec }) => void spec.disks.shift())
    await world.settle()
    expect(holder(world, 'data')).toBeUndefined()
    expect(world.host.orders).toEqual([])
  })
})
