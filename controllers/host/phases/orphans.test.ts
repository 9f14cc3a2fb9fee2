import { describe, expect, test } from 'vitest'
import { guest } from '../../fleet/testing.ts'
import { World } from '../testing.ts'

const LONG_MS = 60_000

async function withOrphans(count: number): Promise<World> {
  const world = new World()
  for (let number = count; number > 0; number--) world.host.machines.note(guest(number))
  await world.pass(LONG_MS)
  return world
}

describe('Host', () => {
  test('lists a machine that no VirtualMachine stands for, tells of it once, and stays Ready', async () => {
    const world = await withOrphans(1)
    expect(world.store.stored?.status).toMatchObject({
      orphanCount: 1,
      orphans: [{ name: 'default/vm-0001', machineId: guest(1).id, state: 'Running', since: '2026-01-01T00:01:00Z' }],
    })
    expect(world.store.condition('MachinesOwned')).toMatchObject({ status: 'False', reason: 'OrphansFound' })
    expect(world.store.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.told).toEqual([
      expect.stringMatching(/^Warning OrphanFound Guest default\/vm-0001 .* spec\.adopt\.machineId/),
    ])
    const { writes } = world.store
    await world.pass(LONG_MS)
    expect([world.store.writes, world.told.length, world.host.orders.length]).toEqual([writes, 1, 0])
  })

  test('does not list a machine whose VirtualMachine reaches the cache a moment later', async () => {
    const world = new World()
    world.host.machines.note(guest(1))
    const { retryAfterMs } = await world.store.reconcile(world.reconciler)
    expect(retryAfterMs).toBe(10_000)
    await world.pass(9_000)
    world.owned.add(guest(1).id)
    await world.pass(LONG_MS)
    expect(world.store.stored?.status).toMatchObject({ orphanCount: 0 })
    expect([world.told, world.store.stored?.status?.orphans]).toEqual([[], undefined])
  })

  test('waits anew for a machine that had a VirtualMachine in between', async () => {
    const world = new World()
    world.host.machines.note(guest(1))
    for (const hasOwner of [false, true, false, true, false]) {
      if (hasOwner) world.owned.add(guest(1).id)
      else world.owned.clear()
      await world.pass(9_000)
    }
    expect([world.store.stored?.status?.orphanCount, world.told]).toEqual([0, []])
  })

  test('does not list a machine that was ordered to go, whose VirtualMachine is gone before it', async () => {
    const world = new World()
    world.host.machines.note(guest(1, { power: 'Absent', state: 'Stopping' }))
    await world.pass(LONG_MS)
    world.host.machines.note(guest(1, { power: 'Absent', state: 'Absent', revision: 2 }))
    await world.pass(LONG_MS)
    expect([world.store.stored?.status?.orphanCount, world.told]).toEqual([0, []])
  })

  test('keeps its list, its times and its peace when the controllers start anew', async () => {
    const world = await withOrphans(2)
    const before = world.store.stored?.status
    world.restart()
    world.store.nowMs += LONG_MS
    await world.store.reconcile(world.reconciler)
    expect(world.store.stored?.status).toEqual(before)
    expect(world.told).toHaveLength(2)
  })

  test('keeps its list while nobody answers, for not reachable is not gone', async () => {
    const world = await withOrphans(1)
    world.host.state = 'Unreachable'
    await world.store.settle(world.reconciler)
    expect(world.store.stored?.status).toMatchObject({ orphanCount: 1, orphans: [{ machineId: guest(1).id }] })
    expect(world.store.condition('MachinesOwned')).toMatchObject({ status: 'Unknown' })
    expect(world.told).toHaveLength(1)
  })

  test('says which orphan was adopted, and which one is gone', async () => {
    const world = await withOrphans(2)
    world.owned.add(guest(1).id)
    world.host.machines.note(guest(2, { state: 'Absent', power: 'Absent', revision: 2 }))
    await world.pass(0)
    expect(world.store.stored?.status?.orphans).toBeUndefined()
    expect(world.store.condition('MachinesOwned')).toMatchObject({ status: 'True' })
    expect(world.told.slice(2)).toEqual([
      expect.stringMatching(/^Normal OrphanAdopted Guest default\/vm-0001 /),
      expect.stringMatching(/^Normal OrphanGone Guest default\/vm-0002 /),
    ])
  })

  test('shows in its list that an orphan has stopped', async () => {
    const world = await withOrphans(1)
    world.host.machines.note(guest(1, { state: 'Stopped', revision: 2 }))
    await world.pass(0)
    expect(world.store.stored?.status?.orphans).toMatchObject([{ state: 'Stopped' }])
    expect(world.told).toHaveLength(1)
  })

  test('counts all of many orphans, lists the first by name, and tells of some', async () => {
    const world = await withOrphans(500)
    const { orphans = [], orphanCount } = world.store.stored?.status ?? {}
    expect([orphans.length, orphanCount]).toEqual([32, 500])
    expect(orphans.map(({ name }) => name).slice(0, 2)).toEqual(['default/vm-0001', 'default/vm-0002'])
    expect(world.told.map((line) => line.split(' ')[1])).toEqual([
      ...Array.from({ length: 5 }, () => 'OrphanFound'),
      'OrphansFound',
    ])
    const { writes } = world.store
    await world.pass(LONG_MS)
    expect([world.store.writes, world.told.length]).toEqual([writes, 6])
  })
})
