import { describe, expect, test } from 'vitest'
import { machine } from '../../crds/testing/objects.ts'
import { fakeHost, guest } from '../fleet/testing.ts'
import { running, World } from './testing.ts'

const NAME = 'shop/web'

function withOther(world: World, change: Parameters<typeof guest>[1] = {}): World {
  const other = fakeHost('host-b')
  other.machines.note(guest(7, { name: NAME, ...change }))
  world.hosts.push(other)
  return world
}

describe('VirtualMachine whose name an orphan has', () => {
  test('is not placed, and says which machine it is', async () => {
    const world = withOther(new World(machine()))
    world.restart()
    const { retryAfterMs } = await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'False', reason: 'OrphanOfName' })
    expect(world.condition('Ready')?.message).toContain(
      `Host host-b has an orphan of this name (machine ${guest(7).id})`,
    )
    expect(world.stored?.status).not.toHaveProperty('machineId')
    expect([world.disks.size, world.host.orders, retryAfterMs]).toEqual([0, [], 30_000])
  })

  test('is not started when it is off, and is once the orphan is gone', async () => {
    const world = withOther(await running())
    const { orders, machines } = world.host
    const own = world.stored?.status?.machineId ?? ''
    const off = machines.get(own)
    if (off) machines.note({ ...off, state: 'Stopped', revision: 50 })
    world.restart()
    const before = orders.length
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ reason: 'OrphanOfName' })
    expect(orders).toHaveLength(before)
    world.hosts[1]?.machines.note(guest(7, { name: NAME, state: 'Absent', power: 'Absent', revision: 2 }))
    await world.reconcile()
    expect(orders.length).toBeGreaterThan(before)
  })

  test('is not placed before each host has told what it has, or did not answer', async () => {
    const world = withOther(new World(machine()))
    const [, other] = world.hosts
    if (!other) throw new Error('there is one host')
    other.machines.note(guest(7, { name: NAME, state: 'Absent', power: 'Absent', revision: 2 }))
    other.state = 'Connecting'
    world.restart()
    const { retryAfterMs } = await world.reconcile()
    expect(world.stored?.status?.machineId).toBeUndefined()
    expect(retryAfterMs).toBe(500)
    other.state = 'Unreachable'
    await world.reconcile()
    expect(world.stored?.status).toMatchObject({ host: 'host-a' })
  })

  test('runs on when it runs', async () => {
    const world = withOther(await running())
    world.restart()
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
  })

  test.each<[string, Parameters<typeof guest>[1]]>([
    ['another name', { name: 'shop/web-2' }],
    ['another namespace', { name: 'bank/web' }],
    ['one that was ordered to go', { power: 'Absent', state: 'Stopping' }],
  ])('is placed beside a machine of %s', async (_, change) => {
    const world = withOther(new World(machine()), change)
    world.restart()
    await world.reconcile()
    expect(world.stored?.status).toMatchObject({ host: 'host-a' })
  })
})
