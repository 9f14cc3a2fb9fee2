import { describe, expect, test } from 'vitest'
import { attachment, newDisk } from '../crds/testing/objects.ts'
import { binned, claimBoth, claimDisk, countPoints, DATA, killAt, remove, want } from './testing-further-disks.ts'
import { FILE, MACHINE_ID, type RecoveryWorld } from './testing-recovery.ts'

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

const ofRecovery = await countPoints(binned, want)
const ofRecoveryWithDisk = await countPoints(binned, (world) => {
  claimDisk(world)
  want(world)
})
const ofClaims = await countPoints(binned, claimBoth)

describe('VirtualMachine in the bin with a disk that it took along', () => {
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

  test('[DEL-16] [DEL-20] that cannot be made can be called off, although a Disk waits for it', async () => {
    const world = await binned()
    claimDisk(world)
    world.namespace = 'Terminating'
    want(world)
    await world.settle()
    expect(world.entry.stored?.status?.phase).toBe('Recovering')
    world.entry.change(({ spec }) => void delete spec.action)
    await world.settle()
    expect(world.entry.stored?.status).toMatchObject({ phase: 'Binned' })
    expect([world.machines.size, [...world.disks.keys()]]).toEqual([0, ['data']])
    world.namespace = 'Active'
    want(world)
    await world.rounds(10)
    expect(world.disks.get('data')?.stored?.status).toMatchObject({ id: DATA, attachedTo: { virtualMachine: 'web' } })
    expect([world.entry.stored, world.freshDisks]).toEqual([undefined, 0])
  })

  test('[DEL-16] [DEL-20] that the API server does not take is not made in part, and can be called off', async () => {
    const world = await binned()
    world.refusal = 'machines are not for here'
    want(world)
    await world.settle()
    expect(world.entry.condition('Ready')?.message).toMatch(
      /^VirtualMachine shop\/web cannot be made: machines are not for here; or write another place .* or take its spec.action away$/,
    )
    expect([world.machines.size, world.disks.size]).toEqual([0, 0])
    world.entry.change(({ spec }) => void delete spec.action)
    await world.settle()
    expect(world.entry.stored?.status).toMatchObject({ phase: 'Binned' })
    world.refusal = undefined
    want(world)
    await world.rounds(10)
    expectBack(world)
  })

  test('[DEL-16] [DEL-20] whose name is taken meanwhile is not made in part, and can be called off', async () => {
    const world = await binned()
    world.namespace = 'Terminating'
    want(world)
    await world.settle()
    world.claim({}, { annotations: {} })
    world.namespace = 'Active'
    await world.settle()
    expect(world.entry.condition('Ready')).toMatchObject({ reason: 'NameTaken' })
    expect(world.disks.has('data')).toBe(false)
    world.entry.change(({ spec }) => void delete spec.action)
    await world.settle()
    expect(world.entry.stored?.status).toMatchObject({ phase: 'Binned' })
  })

  test.each(ofRecoveryWithDisk)(
    '[DEL-20] whose recovery is called off has each file in one place ($what, $at)',
    async ({ at }) => {
      const world = await binned()
      let met = 0
      world.fault = () => {
        if (met++ === at) world.entry.change(({ spec }) => void delete spec.action)
      }
      claimDisk(world)
      want(world)
      await world.rounds(20)
      expect(met).toBeGreaterThan(at)
      const held = [...world.recycled.entries.values()].flatMap(({ spec }) => spec.contents?.disks ?? [])
      const had = [...world.disks.values()].flatMap(({ stored }) => stored?.status?.id ?? [])
      expect([...held.map(({ id }) => id), ...had].toSorted()).toEqual([FILE, DATA])
      expect([world.entry.stored?.status?.phase ?? 'gone', world.freshDisks]).toEqual([
        held.length > 0 ? 'Binned' : 'gone',
        0,
      ])
    },
  )

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

  test('[DEL-03] [DEL-20] under Immediate frees the files of disks that came back from the bin', async () => {
    const world = await binned()
    want(world)
    await world.rounds(10)
    expectBack(world)
    remove(world, 'Immediate')
    await world.rounds(8)
    expect([world.machines.size, world.disks.size, world.agent.disks.size]).toEqual([0, 0, 0])
  })
})
