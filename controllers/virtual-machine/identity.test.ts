import { describe, expect, test } from 'vitest'
import type { ObjectMeta } from '../../crds/common.ts'
import { disk, machine, uidOf } from '../../crds/testing/objects.ts'
import type { VirtualMachine } from '../../crds/virtual-machine.ts'
import { World } from './testing.ts'

const OTHER = '11111111-1111-4111-8111-111111111111'
const ELDER = { creationTimestamp: '2025-12-31T23:59:59Z' }
const YOUNGER = { creationTimestamp: '2026-01-01T00:00:01Z' }

describe('VirtualMachine whose machineId was set to that of another one', () => {
  test.each<[string, (world: World) => void]>([
    ['halted', (world) => world.store.change(({ spec }) => void (spec.runStrategy = 'Halted'))],
    [
      'deleted',
      (world) => world.store.change(({ metadata }) => void (metadata.deletionTimestamp = '2026-01-02T00:00:00Z')),
    ],
    ['left as it is', () => undefined],
  ])('leaves the guest and the disks of the other alone when it is %s', async (_name, change) => {
    const world = await forged()
    note(world, 'shop/db')
    const attachedTo = { virtualMachine: 'db', machineId: OTHER }
    world.disks.set('data', disk('data', { attachedTo }))
    const { length } = world.host.orders
    change(world)
    await world.settle()
    expect(world.host.orders).toHaveLength(length)
    expect(world.host.machines.get(OTHER)).toMatchObject({ state: 'Running' })
    expect(world.disks.get('data')?.status?.attachedTo).toEqual(attachedTo)
    expect(world.condition('Ready')?.message).toContain('is the identity of VirtualMachine shop/db')
    expect(world.events).toContain('Warning IdentityTaken')
    const { writes } = world
    await world.reconcile(3)
    expect(world.writes).toBe(writes)
  })

  test('says how its guest is had where the other one is not there, as after a restore', async () => {
    const world = await forged()
    note(world, 'shop/db')
    world.others.clear()
    await world.settle()
    expect(world.condition('Ready')?.message).toContain('apply shop/db with spec.adopt.machineId')
  })

  test.each<[string, Partial<ObjectMeta>, boolean]>([
    ['younger than it', ELDER, true],
    ['older than it', YOUNGER, false],
    ['of the same second, with the greater uid', { uid: '00000000-0000-4000-8000-000000000000' }, true],
    ['of the same second, with the smaller uid', { uid: 'ffffffff-0000-4000-8000-000000000000' }, false],
  ])('is blocked where no host knows either, when it is %s', async (_name, metadata, isBlocked) => {
    const world = new World(machine({}, { uid: uidOf('web') }))
    world.others.set('db', claiming(metadata))
    world.store.change((vm) => void (vm.status = { machineId: OTHER }))
    await world.settle()
    expect(world.condition('Placed')).toMatchObject({ status: isBlocked ? 'False' : 'True' })
    expect(world.disks.size).toBe(isBlocked ? 0 : 1)
    world.others.clear()
    await world.reconcile()
    expect(world.condition('Placed')).toMatchObject({ status: 'True' })
  })

  test('does not stand in the way of the other, which its host knows by name', async () => {
    const world = new World(machine())
    await world.reconcile()
    world.finishDisk('web-root')
    await world.reconcile()
    const { machineId = '' } = world.stored?.status ?? {}
    world.others.set('db', { ...claiming(ELDER), status: { machineId } })
    world.store.change(({ spec }) => void (spec.runStrategy = 'Halted'))
    await world.settle()
    expect(world.stored?.status?.printableStatus).toBe('Stopped')
  })
})

/** Machine db, which has the identity. */
function claiming(metadata: Partial<ObjectMeta>): VirtualMachine {
  return { ...machine({}, { name: 'db', ...metadata }), status: { machineId: OTHER } }
}

async function forged(): Promise<World> {
  const world = new World(machine())
  await world.reconcile()
  world.finishDisk('web-root')
  await world.reconcile()
  world.others.set('db', claiming(ELDER))
  world.store.change(({ status }) => void Object.assign(status ?? {}, { machineId: OTHER }))
  return world
}

/** The host runs the machine of that identity under this name. */
function note({ host }: World, name: string): void {
  host.machines.note({
    id: OTHER,
    name,
    decision: { id: '22222222-2222-4222-8222-222222222222', epoch: 1 },
    power: 'Running',
    state: 'Running',
    pendingRestart: [],
    restarts: 0,
    revision: 1,
  })
}
