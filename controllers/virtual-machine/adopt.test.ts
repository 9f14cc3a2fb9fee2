import { describe, expect, test } from 'vitest'
import type { ObservedMachine } from '../../agent/contract.ts'
import { attachment, disk, entry, machine } from '../../crds/testing/objects.ts'
import { fakeHost } from '../fleet/testing.ts'
import { World } from './testing.ts'

const ID = '11111111-1111-4111-8111-111111111111'
const DISK = '22222222-2222-4222-8222-222222222222'
const HELD = { id: '33333333-3333-4333-8333-333333333333', epoch: 7 }
const MAC = '02:aa:bb:cc:dd:ee'

function guest(change: Partial<ObservedMachine> = {}): ObservedMachine {
  return {
    id: ID,
    name: 'shop/web',
    decision: HELD,
    power: 'Running',
    state: 'Running',
    pendingRestart: [],
    restarts: 0,
    revision: 0,
    macs: [MAC],
    disks: [{ id: DISK, storage: 'local' }],
    ...change,
  }
}

function adopting(change: Partial<ObservedMachine> = {}, spec: object = {}): World {
  const world = new World(machine({ adopt: { machineId: ID }, ...spec }))
  world.images.clear()
  world.host.machines.note(guest(change))
  return world
}

describe('VirtualMachine with spec.adopt', () => {
  test('becomes the machine that its host has: identity, card, disk, and a decision that follows the one it runs by', async () => {
    const world = adopting({}, { rootDisk: { imageRef: { name: 'debian' }, size: '4Gi' } })
    await world.reconcile()
    expect(world.stored?.status).toMatchObject({
      machineId: ID,
      host: 'host-a',
      networks: [{ mac: MAC }],
      decision: { epoch: 8, power: 'Running', host: 'host-a', follows: [HELD.id] },
    })
    expect(world.disks.get('web-root')).toMatchObject({
      metadata: { labels: { 'compute.holdfast.dev/machine-id': ID } },
      spec: { size: '4Gi', dataStorage: 'local', source: { existing: { id: DISK } } },
    })
    expect(world.host.orders).toEqual([])

    world.finishDisk('web-root')
    Object.assign(world.disks.get('web-root')?.status ?? {}, { id: DISK })
    await world.reconcile()
    expect(world.host.orders).toMatchObject([
      { id: ID, name: 'shop/web', power: 'Running', macs: [MAC], disks: [{ id: DISK, storage: 'local' }] },
    ])
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
  })

  test('is not adopted without a disk that nothing stands for, and is once a Disk of it is named', async () => {
    const further = '44444444-4444-4444-8444-444444444444'
    const has = { disks: [DISK, further].map((id) => ({ id, storage: 'local' })) }
    const world = adopting(has, { rootDisk: { imageRef: { name: 'debian' }, size: '4Gi' } })
    await world.settle()
    expect(world.stored?.status?.machineId).toBeUndefined()
    expect(world.condition('Placed')).toMatchObject({
      reason: 'AdoptionRefused',
      message: expect.stringContaining(
        `make a Disk of ${further} with spec.source.existing, and name it in spec.disks`,
      ),
    })
    world.disks.set('web-data', disk('web-data', { id: further }))
    await world.settle()
    expect(world.condition('Placed')?.message).toMatch(/: name Disk web-data in spec.disks$/)
    world.store.change(({ spec }) => void (spec.disks = [attachment('web-data')]))
    await world.reconcile()
    expect(world.stored?.status?.machineId).toBe(ID)
  })

  test('is adopted with a Disk that is being deleted, which waits for it then', async () => {
    const boot = disk('boot', { id: DISK, heldBy: { machineId: ID } }, { deletionTimestamp: '2026-01-01T00:00:00Z' })
    const world = adopting({}, { rootDisk: { diskRef: { name: 'boot' } } })
    world.disks.set('boot', boot)
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.disks.get('boot')?.status?.attachedTo).toEqual({ virtualMachine: 'web', machineId: ID })
  })

  test('has what its guest has, and no more than its host has room for', async () => {
    const world = adopting(
      { cpus: 1, memoryBytes: 2 ** 30 },
      { memory: '64Gi', rootDisk: { imageRef: { name: 'debian' }, size: '4Gi' } },
    )
    await world.reconcile()
    world.finishDisk('web-root')
    Object.assign(world.disks.get('web-root')?.status ?? {}, { id: DISK })
    world.host.has = { cpus: 1, memoryBytes: 2 ** 30 }
    await world.settle()
    expect(world.stored?.status?.allocated).toMatchObject({ memory: '1Gi' })
    expect(world.host.orders.at(-1)).toMatchObject({ memoryBytes: 2 ** 30 })
    expect(world.condition('SpecApplied')).toMatchObject({ reason: 'HostFull' })
  })

  test.each<[string, Partial<ObservedMachine>, object, object]>([
    ['Manual leaves a guest that runs', {}, { runStrategy: 'Manual' }, { power: 'Running' }],
    [
      'Manual leaves one that is off',
      { power: 'Stopped', state: 'Stopped' },
      { runStrategy: 'Manual' },
      { power: 'Stopped' },
    ],
    ['Always starts one that is off', { power: 'Stopped', state: 'Stopped' }, {}, { power: 'Running' }],
    ['Halted shuts one down', {}, { runStrategy: 'Halted' }, { power: 'Stopped' }],
    ['one that a user paused stays so', { state: 'Paused' }, {}, { power: 'Running', paused: true }],
  ])('%s', async (_, change, spec, decision) => {
    const world = adopting(change, spec)
    await world.reconcile()
    expect(world.stored?.status?.decision).toMatchObject(decision)
  })

  test.each<[string, Partial<ObservedMachine>]>([
    ['another namespace', { name: 'bank/web' }],
    ['another name', { name: 'shop/db' }],
    ['nobody', { state: 'Absent', power: 'Absent', revision: 1 }],
  ])('is refused a machine of %s with the same words, and nothing is ordered', async (_, change) => {
    const world = adopting(change)
    const { retryAfterMs } = await world.settle()
    expect(world.condition('Ready')).toMatchObject({
      status: 'False',
      reason: 'AdoptionRefused',
      message: `No host has a machine ${ID} that was started for VirtualMachine shop/web: use the name, namespace and id in status.orphans of its Host`,
    })
    expect(world.stored?.status).not.toHaveProperty('machineId')
    expect([world.host.orders, world.disks.size, retryAfterMs]).toEqual([[], 0, 30_000])
    expect(world.events).toEqual(['Warning AdoptionRefused'])
  })

  test('is refused a machine that another VirtualMachine has', async () => {
    const world = adopting()
    const other = machine()
    other.metadata.uid = '44444444-4444-4444-8444-444444444444'
    other.status = { machineId: ID, host: 'host-a' }
    world.others.set('other', other)
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ reason: 'AdoptionRefused' })
    expect(world.stored?.status).not.toHaveProperty('machineId')
  })

  test('[DEL-15] is refused a machine whose Ethernet address the recycle bin keeps, until it does no more', async () => {
    const world = adopting()
    const kept = entry('VirtualMachine', 'web', { addresses: [{ mac: MAC }] })
    world.recycled.entries.set(kept.metadata.name, kept)
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({
      reason: 'AdoptionRefused',
      message: `An Ethernet address of machine ${ID} is kept for entry ${kept.metadata.name} of the recycle bin: recover or purge that first`,
    })
    expect(world.stored?.status).not.toHaveProperty('machineId')
    world.recycled.entries.clear()
    await world.settle()
    expect(world.stored?.status).toMatchObject({ machineId: ID, networks: [{ mac: MAC }] })
  })

  test('is refused a machine that two hosts have', async () => {
    const world = adopting()
    const second = fakeHost('host-b')
    second.machines.note(guest())
    world.hosts.push(second)
    world.restart()
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({
      reason: 'AdoptionRefused',
      message: expect.stringMatching(/host-a and host-b/),
    })
  })

  test('waits for a host that does not answer, which may have the machine', async () => {
    const world = adopting({ state: 'Absent', power: 'Absent', revision: 1 })
    world.unplug()
    await world.settle()
    expect(world.condition('Placed')).toMatchObject({ status: 'Unknown', reason: 'HostUnreachable' })
    expect(world.stored?.status).not.toHaveProperty('machineId')
  })

  test('does not take a machine that was ordered to go', async () => {
    const world = adopting({ power: 'Absent', state: 'Stopping' })
    await world.settle()
    expect(world.condition('Placed')).toMatchObject({ status: 'False', reason: 'Stopping' })
    expect(world.host.orders).toEqual([])
  })
})
