import { describe, expect, test } from 'vitest'
import { attachment, newDisk } from '../crds/testing/objects.ts'
import {
  binned,
  claimBoth,
  claimDisk,
  countPoints,
  DATA,
  killAt,
  remove,
  running,
  want,
} from './testing-further-disks.ts'
import { FILE, MACHINE_ID, RecoveryWorld } from './testing-recovery.ts'

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

/** It runs, with both disks of before. */
function expectBack(world: RecoveryWorld): void {
  const { stored } = world.machines.get('web') ?? {}
  expect(stored?.status?.machineId).toBe(MACHINE_ID)
  expect([world.freshDisks, world.entry.stored, world.recycled.entries.size]).toEqual([0, undefined, 0])
  const attachedTo = { virtualMachine: 'web', machineId: MACHINE_ID }
  expect(world.disks.get('data')?.stored?.status).toMatchObject({ id: DATA, attachedTo })
  expect(world.disks.get('data')?.stored?.metadata.labels).toEqual({ app: 'shop' })
  expect(world.agent.orders.at(-1)).toMatchObject({ power: 'Running', disks: [{ id: FILE }, { id: DATA }] })
  expect([...world.agent.disks.keys()]).toEqual([FILE, DATA])
}

const ofDelete = await countPoints(running, remove)
const ofRecovery = await countPoints(binned, want)
const ofClaims = await countPoints(binned, claimBoth)

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
      remove(world)
      await world.rounds(8)
      const { length } = world.agent.orders
      expect(world.agent.orders.at(-1)).toMatchObject({ power: 'Absent' })
      world.agent.session++
      await world.rounds(8)
      expect(world.agent.orders).toHaveLength(length)
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

  test('[DEL-03] [DEL-20] under Immediate frees the files of disks that came back from the bin', async () => {
    const world = await binned()
    want(world)
    await world.rounds(10)
    expectBack(world)
    remove(world, 'Immediate')
    await world.rounds(8)
    expect([world.machines.size, world.disks.size, world.agent.disks.size]).toEqual([0, 0, 0])
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

  test.each([false, true])(
    '[DEL-20] comes back with the disk that it took along (its manifest asks: %o)',
    async (asks) => {
      const world = await binned()
      if (asks) world.claim({ disks: [attachment('data', true)] })
      else want(world)
      await world.rounds(10)
      expect(world.machines.get('web')?.condition('Ready')?.status).toBe('True')
      expectBack(world)
    },
  )

  test.each(ofRecovery)('[DEL-20] comes back with it once when the controllers end $what ($at)', async ({ at }) => {
    const world = await binned()
    const met = killAt(world, at)
    want(world)
    await world.rounds(16)
    expect(met()).toBeGreaterThan(at)
    expectBack(world)
  })

  test.each(ofRecovery)(
    '[DEL-20] that is deleted while it comes back has it in one entry again ($what, $at)',
    async ({ at }) => {
      const world = await binned()
      let met = 0
      world.fault = () => {
        const vm = world.machines.get('web')
        if (met++ >= at && vm) world.delete(vm)
      }
      want(world)
      await world.rounds(20)
      expect([world.machines.size, world.disks.size, world.freshDisks]).toEqual([0, 0, 0])
      const entries = [...world.recycled.entries.values()]
      expect(entries.map(({ spec }) => spec.contents?.disks?.map(({ id }) => id))).toEqual([[FILE, DATA]])
      expect(entries.map(({ status }) => status?.phase)).toEqual(['Binned'])
    },
  )

  test('[DEL-20] that comes back under another name has the disk under its own', async () => {
    const world = await binned()
    world.entry.change(({ spec }) => Object.assign(spec, { action: 'Recover', recoverAs: { name: 'web-2' } }))
    await world.rounds(10)
    expect(world.machines.get('web-2')?.condition('Ready')?.status).toBe('True')
    expect([...world.disks.keys()]).toEqual(['web-2-root', 'data'])
    expect(world.disks.get('data')?.stored?.status).toMatchObject({ id: DATA, attachedTo: { virtualMachine: 'web-2' } })
  })

  test('[DEL-20] does not come back, not even in part, while another Disk has the name', async () => {
    const world = await binned()
    world.make(newDisk({}, { name: 'data' }))
    want(world)
    await world.settle()
    expect(world.entry.condition('Ready')).toMatchObject({ reason: 'NameTaken' })
    expect(world.entry.condition('Ready')?.message).toMatch(
      /^There is another Disk shop\/data: delete that one; or write/,
    )
    expect([world.entry.stored?.status?.phase, world.machines.size, [...world.disks.keys()]]).toEqual([
      'Binned',
      0,
      ['data'],
    ])
  })

  test('[DEL-20] whose Disk a manifest makes before it waits for that, and is not destroyed by time meanwhile', async () => {
    const world = await binned()
    claimDisk(world)
    world.entry.nowMs = 30 * 86_400_000
    await world.settle()
    expect(world.disks.get('data')?.condition('Ready')).toMatchObject({ reason: 'Recovering' })
    expect(world.disks.get('data')?.condition('Ready')?.message).toMatch(
      /^It comes back from the recycle bin together with VirtualMachine shop\/web: apply that too, or run: kubectl patch/,
    )
    expect([world.entry.stored?.status?.phase, world.agent.disks.size]).toEqual(['Binned', 2])
    world.claim({ disks: [attachment('data', true)] })
    await world.rounds(10)
    expect(world.disks.get('data')?.stored?.status).toMatchObject({ id: DATA, attachedTo: { virtualMachine: 'web' } })
    expect([world.entry.stored, world.freshDisks]).toEqual([undefined, 0])
  })

  test.each(ofClaims)(
    '[DEL-20] that is deleted again leaves no file to a Disk that was made before it ($what, $at)',
    async ({ at }) => {
      const world = await binned()
      claimBoth(world)
      let met = 0
      world.fault = () => {
        const vm = world.machines.get('web')
        if (met++ >= at && vm) world.delete(vm)
      }
      await world.rounds(20)
      expect([world.machines.size, world.freshDisks]).toEqual([0, 0])
      const held = [...world.recycled.entries.values()].flatMap(({ spec }) => spec.contents?.disks ?? [])
      expect(held.map(({ id }) => id)).toEqual([FILE, DATA])
      for (const { stored } of world.disks.values()) expect(stored?.status?.id).toBeUndefined()
    },
  )

  test('[DEL-20] does not come back under a name that would have two of its disks called alike', async () => {
    const world = await binned()
    world.entry.change(({ spec }) => {
      const [, data] = spec.contents?.disks ?? []
      if (data) data.name = 'web-2-root'
      Object.assign(spec, { action: 'Recover', recoverAs: { name: 'web-2' } })
    })
    await world.settle()
    expect(world.entry.condition('Ready')).toMatchObject({ reason: 'NameTaken' })
    expect([world.entry.stored?.status?.phase, world.machines.size, world.disks.size]).toEqual(['Binned', 0, 0])
  })

  test('[DEL-20] that is purged frees the disk that it took along', async () => {
    const world = await binned()
    world.entry.change(({ spec }) => void (spec.action = 'Purge'))
    await world.rounds(4)
    expect([world.entry.stored, world.agent.disks.size]).toEqual([undefined, 0])
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
