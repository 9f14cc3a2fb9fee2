import { describe, expect, test } from 'vitest'
import { AgentError } from '../../agent/errors.ts'
import { machine } from '../../crds/testing/objects.ts'
import { fakeHost, type FakeHost } from '../fleet/testing.ts'
import { World } from './testing.ts'

const HELD = { id: '33333333-3333-4333-8333-333333333333', epoch: 7 }

/** A machine that its host has forgotten on an order which came after the state here was stored. Its disk is there. */
async function restored(): Promise<World> {
  const world = new World(machine())
  await world.reconcile()
  world.finishDisk('web-root')
  const { machineId = '' } = world.stored?.status ?? {}
  const { agent } = world.host
  const putMachine = agent.putMachine.bind(agent)
  agent.putMachine = async (order, waitMs) => {
    if (order.decision.epoch > HELD.epoch) return putMachine(order, waitMs)
    throw new AgentError('STALE_EPOCH', 'older', { details: { machineId, decision: HELD } })
  }
  return world
}

function withOther(world: World, state: FakeHost['state']): FakeHost {
  const host = fakeHost('host-b')
  host.state = state
  world.hosts.push(host)
  world.restart()
  return host
}

describe('VirtualMachine that was deleted after its state was stored', () => {
  test('is not started before every host has said whether it has a newer one', async () => {
    const world = await restored()
    const other = withOther(world, 'Unreachable')
    await world.settle()
    expect(world.host.orders).toEqual([])
    expect(world.condition('Ready')).toMatchObject({
      status: 'Unknown',
      reason: 'HostUnreachable',
      message: expect.stringContaining('host-b, which does not answer, may have one that was created in its place'),
    })

    other.state = 'Connected'
    await world.reconcile()
    expect(world.host.orders).toMatchObject([{ power: 'Running', decision: { epoch: HELD.epoch + 1 } }])
  })

  test('is stopped and deleted whatever other hosts say', async () => {
    const world = await restored()
    withOther(world, 'Unreachable')
    world.store.change(({ metadata }) => void (metadata.deletionTimestamp = '2026-01-01T00:00:00Z'))
    await world.settle()
    expect(world.stored).toBeUndefined()
  })

  test('is started at once where its host has it still', async () => {
    const world = await restored()
    const { machineId: id = '' } = world.stored?.status ?? {}
    withOther(world, 'Unreachable')
    const own = { id, name: 'shop/web', decision: HELD, power: 'Stopped', state: 'Stopped' } as const
    world.host.machines.note({ ...own, pendingRestart: [], restarts: 0, revision: 0 })
    await world.settle()
    expect(world.host.orders).toMatchObject([{ power: 'Running', decision: { epoch: HELD.epoch + 1 } }])
  })
})
