import { describe, expect, test } from 'vitest'
import { disk as otherDisk, newDisk } from '../../crds/testing/objects.ts'
import { guest } from '../fleet/testing.ts'
import { World } from './testing.ts'

const FILE = '22222222-2222-4222-8222-222222222222'
const OTHER = '55555555-5555-4555-8555-555555555555'
const GI = 2 ** 30

function adopting(name = 'shop/web', storage = 'local'): World {
  const world = new World(newDisk({ dataStorage: 'local', source: { existing: { id: FILE } } }))
  world.host.disks.set(FILE, 4 * GI)
  world.host.machines.note(guest(1, { name, disks: [{ id: FILE, storage }] }))
  return world
}

describe('Disk with source.existing', () => {
  test('stands for the file of a guest of its namespace, with the size that it has', async () => {
    const world = adopting()
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.stored?.status).toMatchObject({ id: FILE, host: 'host-a', dataStorage: 'local', size: '4Gi' })
    expect([...world.host.disks]).toEqual([[FILE, 4 * GI]])
  })

  test.each([
    ['a guest of another namespace', 'bank/web', 'local'],
    ['a namespace whose name begins alike', 'shop-2/web', 'local'],
    ['another data storage', 'shop/web', 'other'],
  ])('is refused the file of %s', async (_, name, storage) => {
    const world = adopting(name, storage)
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'False', reason: 'AdoptionRefused' })
    expect(world.stored?.status).not.toHaveProperty('id')
  })

  test('is refused a file that has a Disk', async () => {
    const world = adopting()
    const other = otherDisk('other', { id: FILE })
    other.metadata.uid = OTHER
    world.others.push(other)
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({
      reason: 'AdoptionRefused',
      message: expect.stringMatching(/has a Disk already/),
    })
  })

  test('of which there are two for one file: the first one has it, for as long as it is there', async () => {
    const world = adopting()
    const { others, adopters } = world
    others.push(newDisk({ dataStorage: 'local', source: { existing: { id: FILE } } }, { name: 'other', uid: OTHER }))
    adopters.set(FILE, OTHER) // It is about to be stored.
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ reason: 'AdoptionRefused' })
    others.pop()
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    expect(adopters.get(FILE)).toBe(world.stored?.metadata.uid)
  })

  test('does not stand back for one that only asks for the same file', async () => {
    const world = adopting()
    const rival = newDisk({ dataStorage: 'local', source: { existing: { id: FILE } } }, { name: 'other', uid: OTHER })
    world.others.push(rival)
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
  })

  test('makes no empty file in place of one that is gone', async () => {
    const world = adopting()
    world.host.disks.clear()
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'False', reason: 'FileMissing' })
    expect(world.host.disks.size).toBe(0)
  })

  test('that is to grow makes no empty file either', async () => {
    const world = adopting()
    await world.reconcile()
    world.host.disks.clear()
    world.store.change(({ spec }) => void (spec.size = '8Gi'))
    await world.settle()
    expect(world.condition('SpecApplied')).toMatchObject({ status: 'False', reason: 'FileMissing' })
    expect(world.host.disks.size).toBe(0)
  })
})
