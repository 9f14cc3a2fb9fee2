import { describe, expect, test } from 'vitest'
import { AgentError } from '../../../agent/errors.ts'
import { newDisk } from '../../../crds/testing/objects.ts'
import { World } from '../testing.ts'

const GI = 2 ** 30

describe('Disk', () => {
  test('grows at once when no machine has it open', async () => {
    const world = await ready()
    grow(world)
    await world.reconcile()
    expect([...world.host.disks.values()]).toEqual([5 * GI])
    expect(world.stored?.status).toMatchObject({ size: '5Gi', observedGeneration: 1 })
    expect(world.condition('SpecApplied')).toMatchObject({ status: 'True' })
  })

  test('mends a status that does not say how large it is', async () => {
    const world = await ready()
    world.store.change(({ status }) => void Object.assign(status ?? {}, { size: '-1Zi' }))
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.stored?.status?.size).toBe('1Gi')
  })

  test('can be used as it is while it waits to grow', async () => {
    const world = await ready()
    const { uid = '' } = world.stored?.metadata ?? {}
    world.store.change(({ status }) => {
      if (status) status.attachedTo = { virtualMachine: 'web', machineId: uid }
    })
    world.host.open.add(uid)
    grow(world)
    const { retryAfterMs } = await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.condition('SpecApplied')).toMatchObject({
      status: 'False',
      reason: 'RestartRequired',
      message: expect.stringContaining('VirtualMachine web has the disk open'),
    })
    expect(retryAfterMs).toBe(5_000)
    const { writes } = world.store
    await world.reconcile(3)
    expect(world.store.writes).toBe(writes)

    world.host.open.clear()
    await world.reconcile()
    expect(world.condition('SpecApplied')).toMatchObject({ status: 'True' })
    expect(world.stored?.status?.size).toBe('5Gi')
  })

  test.each([
    ['NO_SPACE', 'HostRefused'],
    ['UNREACHABLE', 'HostUnreachable'],
  ] as const)('stays ready when its host answers %s to growing', async (code, reason) => {
    const world = await ready()
    world.host.fault = new AgentError(code, 'why')
    grow(world)
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.condition('SpecApplied')).toMatchObject({ reason })
  })
})

describe('Disk that is to grow beyond its storage', () => {
  test('keeps its size, says so, and takes no room from others meanwhile', async () => {
    const world = await ready()
    world.store.change(({ spec }) => void (spec.size = '64Ti'))
    await world.settle()
    expect([...world.host.disks.values()]).toEqual([GI])
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.condition('SpecApplied')).toMatchObject({
      status: 'False',
      reason: 'NoDataStorageFits',
      message: expect.stringContaining('it keeps its size until there is room'),
    })
    expect(world.ledger.storageUse('local')).toBe(GI)
  })

  test('is not told to its host before that is stored, for until then the size can be taken back', async () => {
    const world = await ready()
    world.store.change(({ spec }) => void (spec.size = '64Ti'))
    await world.settle()
    grow(world)
    await world.reconcile()
    expect([...world.host.disks.values()]).toEqual([GI])
    expect(world.condition('SpecApplied')).toMatchObject({ status: 'False', reason: 'Growing' })
    // Somebody was faster: nothing of the room is held.
    world.store.change(({ spec }) => void (spec.size = '2Gi'))
    world.ledger.diskChanged(world.stored, world.stored)
    expect(world.ledger.storageUse('local')).toBe(2 * GI)
    await world.settle()
    expect([...world.host.disks.values()]).toEqual([2 * GI])
  })

  test('counts as what it may grow to from before its host is told', async () => {
    const world = await ready()
    world.host.fault = new AgentError('UNREACHABLE', 'why')
    grow(world)
    await world.reconcile()
    expect(world.ledger.storageUse('local')).toBe(5 * GI)
    world.host.fault = undefined
    await world.settle()
    expect(world.ledger.storageUse('local')).toBe(5 * GI)
    expect(world.condition('SpecApplied')).toMatchObject({ status: 'True' })
  })
})

async function ready(): Promise<World> {
  const world = new World(newDisk())
  await world.reconcile()
  return world
}

function grow(world: World): void {
  world.store.change(({ spec }) => void (spec.size = '5Gi'))
}
