import { describe, expect, test } from 'vitest'
import { AgentError } from '../../../agent/errors.ts'
import { newDisk } from '../../../crds/testing/objects.ts'
import { World } from '../testing.ts'

const GI = 2 ** 30

describe('A disk that was made', () => {
  test('is looked for once in every session of its host', async () => {
    const world = await made()
    const { asked } = world.host
    await world.reconcile(3)
    expect(world.host.asked).toBe(asked)
    world.host.session++
    await world.reconcile(3)
    expect(world.host.asked).toBe(asked + 1)
  })

  test('is not Ready when its file is gone, and is again when it is back', async () => {
    const world = await made()
    const { id } = world.stored?.status ?? {}
    world.host.disks.clear()
    world.host.session++
    const { retryAfterMs } = await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'False', reason: 'FileMissing' })
    expect(retryAfterMs).toBe(30_000)
    expect(world.host.disks.size).toBe(0)

    world.host.disks.set(id ?? '', GI)
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
  })

  test('has the size that its host says, as after a restore of an older state', async () => {
    const world = await made()
    world.host.disks.set(world.stored?.status?.id ?? '', 7 * GI)
    world.host.session++
    await world.reconcile()
    expect(world.stored?.status?.size).toBe('7Gi')
  })

  test.each(['UNREACHABLE', 'STORAGE_UNAVAILABLE', 'INTERNAL'] as const)(
    'stays Ready when its host answers %s, which says nothing of the file',
    async (code) => {
      const world = await made()
      world.host.session++
      world.host.fault = new AgentError(code, 'why')
      await world.settle()
      expect(world.condition('Ready')).toMatchObject({ status: 'True' })
      world.host.fault = undefined
      world.host.disks.clear()
      await world.settle()
      expect(world.condition('Ready')).toMatchObject({ reason: 'FileMissing' })
    },
  )
})

test('A disk whose status names a file of another name, which somebody else wrote there, gets no file', async () => {
  const world = new World(newDisk())
  const id = '99999999-9999-4999-8999-999999999999'
  world.host.disks.set(id, GI)
  world.store.change((disk) => void (disk.status = { id, host: 'host-a', dataStorage: 'local', size: '1Gi' }))
  await world.settle()
  expect(world.condition('Ready')).toMatchObject({ status: 'False', reason: 'AdoptionRefused' })
  expect(world.host.asked).toBe(0)
})

async function made(): Promise<World> {
  const world = new World(newDisk())
  await world.reconcile()
  return world
}
