import { describe, expect, test } from 'vitest'
import { desiredMachine } from '../../agent/contract.ts'
import { AgentError } from '../../agent/errors.ts'
import { attachment, disk, machine } from '../../crds/testing/objects.ts'
import { MACHINE_ID_LABEL } from '../../crds/virtual-machine.ts'
import { running, World } from './testing.ts'

const newer = { id: '22222222-2222-4222-8222-222222222222', epoch: 7, follows: [] }

/** Has the host told something by somebody whose decisions are not in our state. */
async function toldSince(world: World, change: object = {}): Promise<void> {
  const { paused: _, ...last } = lastOrder(world)
  await world.host.agent.putMachine({ ...last, decision: newer, ...change })
  world.restart()
}

function lastOrder({ host }: World) {
  const last = host.orders.at(-1)
  if (!last) throw new Error('nothing was ordered')
  return last
}

function ask(world: World, request: string): void {
  world.store.change(({ spec }) => Object.assign(spec, { power: { request, at: world.store.now().toISOString() } }))
}

describe('A stop that is asked for after a restore', () => {
  test('while the host was away is carried out', async () => {
    const world = await running()
    await toldSince(world)
    world.unplug()
    ask(world, 'Stop')
    await world.settle()
    world.host.state = 'Connected'
    world.host.fault = undefined
    await world.settle()
    expect(world.condition('PowerStateReached')).toMatchObject({ status: 'True' })
  })

  test('by runStrategy is carried out', async () => {
    const world = await running()
    await toldSince(world)
    world.store.change(({ spec }) => void (spec.runStrategy = 'Halted'))
    await world.settle()
    expect(world.condition('PowerStateReached')).toMatchObject({ status: 'True' })
  })
})

describe('A guest that is otherwise than the restored state says', () => {
  test('is not halted where it was resumed since', async () => {
    const world = await running()
    ask(world, 'Pause')
    await world.settle()
    expect(world.stored?.status?.decision).toMatchObject({ paused: true })
    await toldSince(world)
    const given = world.host.orders.length
    await world.settle()
    expect(world.host.orders.slice(given).filter(({ paused }) => paused === true)).toEqual([])
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
  })

  test('is not ended for a delete that was under way then, until that is asked for', async () => {
    const world = await running()
    await toldSince(world)
    world.store.change(({ metadata }) => void (metadata.deletionTimestamp = '2025-01-01T00:00:00Z'))
    const given = world.host.orders.length
    await world.settle()
    expect(world.host.orders).toHaveLength(given)
    expect(world.condition('Ready')?.message).toContain('set runStrategy to Halted to have it deleted')

    world.store.change(({ spec }) => void (spec.runStrategy = 'Halted'))
    await world.settle()
    expect(world.stored).toBeUndefined()
  })

  test('is ended for a delete that came since', async () => {
    const world = await running()
    await toldSince(world)
    world.store.change(({ metadata }) => void (metadata.deletionTimestamp = world.store.now().toISOString()))
    await world.settle()
    expect(world.stored).toBeUndefined()
  })
})

async function withDisks(...names: string[]): Promise<World> {
  const world = new World(machine({ disks: names.map((name) => attachment(name)) }))
  for (const name of names) world.disks.set(name, disk(name))
  await world.reconcile()
  world.finishDisk('web-root')
  await world.settle()
  return world
}
const idOf = (world: World, name: string) => world.disks.get(name)?.metadata.uid ?? ''
const has = ({ host }: World) => [...host.machines.all()][0]?.disks?.map(({ id }) => id)

describe('A disk that a machine is to give back', () => {
  test('stays claimed while its host does not answer: it may have taken an order that we have not heard of', async () => {
    const world = await withDisks()
    world.disks.set('data', disk('data'))
    const { decision } = lastOrder(world)
    const before = [...world.host.machines.all()]
    world.store.change(({ spec }) => void (spec.disks = [attachment('data')]))
    await world.settle()
    const [seen] = before
    if (seen) world.host.machines.note({ ...seen, revision: 99 }) // As from before that order.
    world.host.fault = new AgentError('UNREACHABLE', 'no answer')
    world.store.change(({ spec }) => void (spec.disks = []))
    await world.settle()
    expect(decision.id).toBe(lastOrder(world).decision.id)
    expect(world.disks.get('data')?.status?.attachedTo?.virtualMachine).toBe('web')
  })

  test('is asked back also where it carries the label of its own machine', async () => {
    const world = await withDisks('data')
    const { machineId = '' } = world.stored?.status ?? {}
    const { metadata } = world.disks.get('data') ?? {}
    if (metadata) metadata.labels = { [MACHINE_ID_LABEL]: machineId }
    world.store.change(({ spec }) => void (spec.disks = []))
    await world.settle()
    expect(has(world)).not.toContain(idOf(world, 'data'))
  })

  test('is asked back in an order that its host takes, however many there are', async () => {
    const nine = (letter: string) => Array.from({ length: 9 }, (_, index) => `${letter}${index}`)
    const world = await withDisks(...nine('a'))
    for (const [before, letter] of [
      ['a', 'b'],
      ['b', 'c'],
    ] as const) {
      const kept = nine(before).map((name) => ({ id: idOf(world, name), action: 'Detach', isKept: true }) as const)
      world.host.pendingDisks = [...world.host.pendingDisks, ...kept]
      for (const name of nine(letter)) world.disks.set(name, disk(name))
      world.store.change(({ spec }) => void (spec.disks = nine(letter).map((name) => attachment(name))))
      await world.settle()
    }
    expect(desiredMachine.safeParse(lastOrder(world)).error?.message).toBeUndefined()
  })
})
