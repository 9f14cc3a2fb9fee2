import { describe, expect, test } from 'vitest'
import { machine } from '../../crds/testing/objects.ts'
import { World } from './testing.ts'

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
})

function decisionOf(world: World) {
  const decision = world.stored?.status?.decision
  if (!decision) throw new Error('nothing was decided')
  return decision
}
