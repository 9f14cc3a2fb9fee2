import { describe, expect, test } from 'vitest'
import { attachment, newDisk } from '../crds/testing/objects.ts'
import { countPoints, DATA, killAt, remove, running } from './testing-further-disks.ts'
import { RecoveryWorld } from './testing-recovery.ts'

/** The machine is in the bin with its root disk and that one, in one entry; the other Disk is there, and nobody has it. */
function expectBinned(world: RecoveryWorld, ...further: string[]): void {
  const entries = [...world.recycled.entries.values()].map(({ spec, status }) => ({
    phase: status?.phase,
    kind: spec.resource.kind,
    disks: spec.contents?.disks?.map(({ name }) => name),
  }))
  expect(entries).toEqual([{ phase: 'Binned', kind: 'VirtualMachine', disks: ['web-root', ...further] }])
  const left = ['data', 'scratch'].filter((name) => !further.includes(name))
  expect([...world.disks.keys()]).toEqual(left)
  for (const { stored } of world.disks.values()) expect(stored?.status?.attachedTo).toBeUndefined()
  expect(world.agent.disks.size).toBe(3)
}

const ofDelete = await countPoints(running, remove)
describe('VirtualMachine', () => {
  test('[DEL-20] takes the disk along that is marked, in its own entry, and gives the other one back', async () => {
    const world = await running()
    remove(world)
    await world.rounds(8)
    expectBinned(world, 'data')
    const [entry] = world.recycled.entries.values()
    expect(entry?.spec.contents?.disks?.[1]).toMatchObject({ uid: DATA, id: DATA, manifest: { spec: { size: '1Gi' } } })
  })

  test.each(ofDelete)('[DEL-20] takes it along once when the controllers end $what ($at)', async ({ at }) => {
    const world = await running()
    const met = killAt(world, at)
    remove(world)
    await world.rounds(14)
    expect(met()).toBeGreaterThan(at)
    expectBinned(world, 'data')
  })

  test.each(['Always', 'RerunOnFailure', 'Manual'] as const)(
    '[DEL-20] is off in the bin under %s, also when its host comes back and it is asked to start',
    async (runStrategy) => {
      const world = await running()
      const power = { request: 'Start', at: '2026-01-01T00:00:01Z' } as const
      world.machines.get('web')?.change(({ spec }) => Object.assign(spec, { runStrategy, power }))
      const { length } = world.agent.orders
      world.agent.state = 'Unreachable'
      remove(world)
      await world.rounds(4)
      expect(world.machines.size).toBe(1)
      world.agent.state = 'Connected'
      world.agent.session++
      await world.rounds(8)
      expectBinned(world, 'data')
      expect(world.agent.orders.slice(length).filter(({ power: now }) => now === 'Running')).toEqual([])
      expect(world.agent.orders.at(-1)).toMatchObject({ power: 'Absent' })
      expect([...world.agent.machines.all()].filter(({ power: now }) => now === 'Running')).toEqual([])
    },
  )

  test('[DEL-20] takes it along where no webhook saw the delete', async () => {
    const world = await running()
    world.machines.get('web')?.change(({ metadata }) => void (metadata.deletionTimestamp = '2026-01-01T00:00:00Z'))
    await world.rounds(8)
    expect(world.machines.size).toBe(0)
    expectBinned(world, 'data')
  })

  test.each(['Delayed', 'Immediate'] as const)(
    '[DEL-20] gives a marked disk back that says Never, also under %s',
    async (policy) => {
      const world = await running()
      world.disks.get('data')?.change(({ spec }) => void (spec.deletionPolicy = 'Never'))
      remove(world, policy)
      await world.rounds(8)
      if (policy === 'Delayed') return expectBinned(world)
      expect([...world.disks.keys()]).toEqual(['data', 'scratch'])
      expect(world.agent.disks.has(DATA)).toBe(true)
    },
  )

  test('[DEL-20] under Immediate frees the file of the marked disk, and of no other', async () => {
    const world = await running()
    const scratch = world.disks.get('scratch')?.stored?.metadata.uid
    remove(world, 'Immediate')
    await world.rounds(8)
    expect([world.machines.size, [...world.disks.keys()]]).toEqual([0, ['scratch']])
    expect([...world.agent.disks.keys()]).toEqual([scratch])
  })

  test('[DEL-20] gives a marked disk back that is to be kept for good since it was decided, and before it was told', async () => {
    const world = await running()
    world.fault = (what) => {
      if (what !== 'after fill entry') return
      world.fault = () => undefined
      world.disks.get('data')?.change(({ spec }) => void (spec.deletionPolicy = 'Never'))
      throw new Error('killed')
    }
    remove(world)
    await world.rounds(10)
    expect(world.disks.get('data')?.stored?.spec.deletionPolicy).toBe('Never')
    expectBinned(world)
  })

  test('[DEL-13] [DEL-20] destroys no disk with its machine that is deleted itself, and is kept by that', async () => {
    const world = await running()
    remove(world, 'Immediate')
    // As without webhooks, which would have written down how.
    world.disks.get('data')?.change(({ metadata }) => void (metadata.deletionTimestamp = '2026-01-01T00:00:00Z'))
    await world.rounds(10)
    expect([world.machines.size, [...world.disks.keys()]]).toEqual([0, ['scratch']])
    expect(world.agent.disks.has(DATA)).toBe(true)
    const kept = [...world.recycled.entries.values()].filter(({ spec }) => spec.resource.kind === 'Disk')
    expect(kept.map(({ spec }) => spec.contents?.disks?.map(({ id }) => id))).toEqual([[DATA]])
  })

  test('[DEL-20] gives a marked disk back that another machine names, and that one has it then', async () => {
    const world = await running()
    const uid = '44444444-4444-4444-8444-444444444447'
    world.claim({ disks: [attachment('data')] }, { name: 'db', uid, annotations: {} })
    await world.rounds(4)
    remove(world)
    await world.rounds(10)
    expect(world.disks.get('data')?.stored?.status?.attachedTo?.virtualMachine).toBe('db')
    expect(world.machines.get('db')?.condition('Ready')?.status).toBe('True')
  })

  test('[DEL-20] takes it along when the namespace goes, and leaves the other one to its own entry', async () => {
    const world = await running()
    remove(world)
    for (const name of ['data', 'scratch', 'web-root']) {
      const store = world.disks.get(name)
      if (store) world.delete(store)
    }
    await world.rounds(10)
    expect([world.machines.size, world.disks.size]).toEqual([0, 0])
    const entries = [...world.recycled.entries.values()].map(({ spec }) =>
      spec.contents?.disks?.map(({ name }) => name),
    )
    expect(entries).toEqual([['web-root', 'data'], ['scratch']])
  })

  test('[DEL-20] that boots from a Disk by its name takes along one that is called like a root disk', async () => {
    const world = new RecoveryWorld()
    world.entry.put(undefined)
    world.agent.disks.clear()
    world.make(newDisk({}, { name: 'boot' }), newDisk({}, { name: 'web-root', uid: DATA }))
    const own = { rootDisk: { diskRef: { name: 'boot' } }, disks: [attachment('web-root', true)] }
    world.claim(own, { annotations: {} })
    await world.rounds(6)
    remove(world)
    await world.rounds(8)
    const [entry] = world.recycled.entries.values()
    expect(entry?.spec.contents?.disks?.map(({ name }) => name)).toEqual(['web-root'])
    expect([...world.disks.keys()]).toEqual(['boot'])
  })
})
