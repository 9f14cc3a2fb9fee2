import { describe, expect, test } from 'vitest'
import type { ObservedMachine } from '../../agent/contract.ts'
import { machine, newDisk } from '../../crds/testing/objects.ts'
import { World } from './testing.ts'

const OWN = '11111111-1111-4111-8111-111111111111'
const ORPHAN = '22222222-2222-4222-8222-222222222222'
const attachedTo = { virtualMachine: 'web', machineId: OWN }

describe('A disk that a machine of its host has', () => {
  test('says so when it is attached to another one, until that machine lets it go', async () => {
    const world = await made()
    world.machines.set('web', { ...machine(), status: { machineId: OWN } })
    world.store.change(({ status }) => void Object.assign(status ?? {}, { attachedTo }))
    has(world, { id: ORPHAN, name: 'shop/since' })
    await world.reconcile()
    expect(world.stored?.status).toMatchObject({ attachedTo, heldBy: { machineId: ORPHAN, name: 'shop/since' } })
    expect(world.condition('Ready')).toMatchObject({
      status: 'True',
      reason: 'InUse',
      message: `Machine ${ORPHAN} of Host host-a, started for VirtualMachine shop/since, has the file: name the disk in spec.disks of that VirtualMachine and of no other, or, where it is gone, adopt the machine`,
    })

    world.host.state = 'Unreachable'
    world.host.machines.note(observed(world, { id: ORPHAN, disks: [], revision: 2 }))
    await world.reconcile()
    expect(world.stored?.status).toHaveProperty('heldBy')
    world.host.state = 'Connected'
    await world.reconcile()
    expect(world.stored?.status).not.toHaveProperty('heldBy')
    expect(world.condition('Ready')).toMatchObject({ status: 'True', reason: 'Ready' })
  })

  test('does not tell of a machine that was started in another namespace', async () => {
    const world = await made()
    has(world, { id: ORPHAN, name: 'secret/since' })
    await world.reconcile()
    expect(JSON.stringify(world.stored)).not.toContain('secret')
    expect(world.stored?.status?.heldBy).toEqual({ machineId: ORPHAN })
  })

  test.each([
    ['it is attached to that one', { id: OWN }],
    ['that one was refused it', { id: ORPHAN, isRefused: true }],
  ] as const)('says nothing when %s', async (_, { isRefused, ...how }: { id: string; isRefused?: boolean }) => {
    const world = await made()
    world.machines.set('web', { ...machine(), status: { machineId: OWN } })
    world.store.change(({ status }) => void Object.assign(status ?? {}, { attachedTo }))
    const problem = { code: 'DISK_CLAIMED', message: `Disk ${idOf(world)} is claimed by another one` }
    has(world, { ...how, ...(isRefused && { problem }) })
    const { writes } = world.store
    await world.reconcile(2)
    expect(world.stored?.status).not.toHaveProperty('heldBy')
    expect(world.store.writes).toBe(writes)
  })

  test('says nothing when that one was adopted under another name, and names it', async () => {
    const world = await made()
    world.store.change(({ status }) => void Object.assign(status ?? {}, { attachedTo }))
    const rootDisk = { diskRef: { name: world.stored?.metadata.name ?? '' } }
    world.machines.set('anew', { ...machine({ rootDisk }, { name: 'anew' }), status: { machineId: OWN } })
    has(world, { id: OWN, name: 'shop/anew' })
    await world.reconcile()
    expect(world.stored?.status).not.toHaveProperty('heldBy')
  })

  test('says so when the VirtualMachine that it is attached to is gone', async () => {
    const world = await made()
    world.store.change(({ status }) => void Object.assign(status ?? {}, { attachedTo }))
    has(world, { id: OWN })
    await world.reconcile()
    expect(world.stored?.status?.heldBy?.machineId).toBe(OWN)
  })
})

async function made(): Promise<World> {
  const world = new World(newDisk())
  await world.reconcile()
  return world
}

function idOf({ stored }: World): string {
  return stored?.status?.id ?? ''
}

function has(world: World, how: Partial<ObservedMachine>): void {
  world.host.machines.note(observed(world, how))
}

function observed(world: World, how: Partial<ObservedMachine>): ObservedMachine {
  return {
    id: OWN,
    name: 'shop/web',
    decision: { id: '44444444-4444-4444-8444-444444444444', epoch: 1 },
    power: 'Running',
    state: 'Running',
    pendingRestart: [],
    restarts: 0,
    revision: 1,
    disks: [{ id: idOf(world), storage: 'local' }],
    ...how,
  }
}
