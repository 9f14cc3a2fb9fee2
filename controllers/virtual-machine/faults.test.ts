import { describe, expect, test } from 'vitest'
import type { AgentErrorCode, DesiredMachine } from '../../agent/contract.ts'
import { AgentError } from '../../agent/errors.ts'
import { attachment, disk, machine } from '../../crds/testing/objects.ts'
import { seededRandom } from '../../lib/queue/testing.ts'
import { World } from './testing.ts'

const codes: AgentErrorCode[] = ['UNREACHABLE', 'INTERNAL', 'NO_SPACE', 'STORAGE_UNAVAILABLE', 'QEMU_UNAVAILABLE']

const seeds = Array.from({ length: 60 }, (_, index) => 20_260_000 + index)

describe('VirtualMachine', () => {
  test.each(seeds)('acts only on what is stored, and ends as its spec says, whatever fails (seed %d)', async (seed) => {
    const random = seededRandom(seed)
    const world = new World(machine({ disks: [attachment('data')] }))
    world.disks.set('data', disk('data'))
    const mistakes = watchOrders(world)
    const step = steps(world, random)
    for (let i = 0; i < 80; i++) {
      step()
      await world.reconcile().catch(() => undefined)
      // More time than a short wait takes, so that waits are written too.
      if (random() < 0.3) world.store.nowMs += 2_000
    }

    heal(world)
    world.store.change(({ spec }) => void (spec.runStrategy = 'Always'))
    await world.reconcile()
    world.finishDisk('web-root')
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    const { machineId = '' } = world.stored?.status ?? {}
    expect(world.host.machines.get(machineId)).toMatchObject({ state: 'Running' })
    expect(world.disks.get('data')?.status?.attachedTo).toEqual({ virtualMachine: 'web', machineId })
    expect(new Set(world.host.orders.map(({ id }) => id))).toEqual(new Set([machineId]))

    world.store.change(({ metadata }) => void (metadata.deletionTimestamp = '2026-01-01T00:00:00Z'))
    await world.reconcile()
    expect(world.stored).toBeUndefined()
    expect([...world.disks.keys()]).toEqual(['data'])
    expect(world.disks.get('data')?.status?.attachedTo).toBeUndefined()
    expect(mistakes).toEqual([])
  })
})

/** Every order must be for the decision that is stored when it comes, and epochs must only grow. */
function watchOrders(world: World): string[] {
  const mistakes: string[] = []
  const { agent } = world.host
  const putMachine = agent.putMachine.bind(agent)
  let epoch = 0
  agent.putMachine = async (order: DesiredMachine) => {
    const stored = world.stored?.status?.decision
    if (stored?.id !== order.decision.id) mistakes.push(`an order for ${order.decision.id}, which is not stored`)
    if (order.decision.epoch < epoch) mistakes.push(`epoch ${order.decision.epoch} after ${epoch}`)
    if (order.power === 'Running' && order.disks.length !== 2) mistakes.push(`a start with ${order.disks.length} disks`)
    epoch = order.decision.epoch
    const answer = await putMachine(order)
    if (world.lostAnswers) throw new AgentError('UNREACHABLE', 'carried out, but the answer is lost')
    return answer
  }
  return mistakes
}

function steps(world: World, random: () => number): () => void {
  const pick = <T>(items: readonly T[]): T | undefined => items[Math.floor(random() * items.length)]
  const all: (() => void)[] = [
    () => world.unplug(),
    () => heal(world),
    () => heal(world),
    () => world.restart(),
    () => void world.host.session++,
    () => void (world.lostAnswers = true),
    () => void (world.host.fault = new AgentError(pick(codes) ?? 'INTERNAL', 'why')),
    () => void (world.store.crash = new Error('the API server went away')),
    () => void (world.attachmentFault = new Error('the object changed meanwhile')),
    () => world.finishDisk('web-root'),
    () => world.store.change(({ spec }) => void (spec.runStrategy = random() < 0.5 ? 'Always' : 'Halted')),
  ]
  return () => pick(all)?.()
}

function heal(world: World): void {
  Object.assign(world.host, { state: 'Connected', fault: undefined })
  world.lostAnswers = false
  world.store.crash = undefined
  world.attachmentFault = undefined
}
