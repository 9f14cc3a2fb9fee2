import { describe, expect, test } from 'vitest'
import { machine } from '../../crds/testing/objects.ts'
import { running, World } from './testing.ts'

describe('VirtualMachine', () => {
  test('follows its last decisions, however often it was halted and started', async () => {
    const world = new World(machine())
    await world.reconcile()
    world.finishDisk('web-root')
    await world.reconcile()
    for (let round = 0; round < 24; round++) {
      const last = decisionOf(world)
      world.store.change(({ spec }) => void (spec.runStrategy = round % 2 === 0 ? 'Halted' : 'Always'))
      await world.reconcile()
      const { id, epoch, follows, power } = decisionOf(world)
      expect([epoch, power]).toEqual([last.epoch + 1, round % 2 === 0 ? 'Stopped' : 'Running'])
      expect(follows).toContain(last.id)
      expect(follows).not.toContain(id)
      expect(follows.length).toBeLessThanOrEqual(8)
    }
  })

  test('goes on from the maximum of its own epoch and the one that its host holds', async () => {
    const world = new World(machine())
    await world.reconcile()
    world.finishDisk('web-root')
    await world.reconcile()
    for (let round = 0; round < 12; round++) {
      const before = decisionOf(world)
      const machineId = world.stored?.status?.machineId ?? ''
      const held = world.host.machines.get(machineId)
      const seen = { id: `22222222-2222-4222-8222-${String(round).padStart(12, '0')}`, epoch: 100 * (round + 1) }
      if (held) world.host.machines.note({ ...held, decision: seen, revision: 1000 + round })
      world.restart()
      await world.reconcile()
      const decision = decisionOf(world)
      expect(decision).toMatchObject({ epoch: seen.epoch + 1, power: 'Running' })
      expect(decision.follows.slice(0, 2)).toEqual([seen.id, before.id])
    }
  })

  test.each([Number.MAX_SAFE_INTEGER, 2 ** 52, 2 ** 33])(
    'goes on from what its host holds when its epoch was set to %d, and can be stopped and deleted',
    async (epoch) => {
      const world = await running()
      const held = decisionOf(world)
      world.store.change(({ status }) => void Object.assign(status?.decision ?? {}, { epoch }))
      await world.reconcile()
      expect(decisionOf(world)).toMatchObject({ epoch: held.epoch + 1, power: 'Running' })
      world.store.change(({ spec, status }) => {
        spec.runStrategy = 'Halted'
        Object.assign(status?.decision ?? {}, { epoch })
      })
      await world.reconcile()
      expect(world.condition('Ready')).toMatchObject({ status: 'True' })
      expect(world.host.orders.map((order) => order.decision.epoch)).toEqual([1, 2, 3])
      world.store.change(({ metadata }) => void (metadata.deletionTimestamp = '2026-01-01T00:00:00Z'))
      await world.reconcile()
      expect(world.stored).toBeUndefined()
    },
  )

  test('decides anew when the power of its last decision was changed', async () => {
    const world = await running()
    world.store.change(({ spec, status }) => {
      spec.runStrategy = 'Halted'
      Object.assign(status?.decision ?? {}, { power: 'Stopped' })
    })
    await world.reconcile()
    expect(world.host.orders.at(-1)).toMatchObject({ power: 'Stopped', decision: { epoch: 2 } })
  })

  test('says what to do when its host holds an epoch that none can follow', async () => {
    const world = await running()
    const { machineId = '' } = world.stored?.status ?? {}
    const held = world.host.machines.get(machineId)
    const decision = { id: '22222222-2222-4222-8222-222222222222', epoch: 2 ** 52 }
    if (held) world.host.machines.note({ ...held, decision, revision: 99 })
    world.restart()
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({
      reason: 'HostRefused',
      message: expect.stringContaining('that no later one can follow'),
    })
  })
})

function decisionOf(world: World) {
  const decision = world.stored?.status?.decision
  if (!decision) throw new Error('nothing was decided')
  return decision
}
