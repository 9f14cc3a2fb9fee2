import { describe, expect, test } from 'vitest'
import { RECOVERED_FROM_ANNOTATION, type RecycledResource } from '../../crds/recycled-resource.ts'
import { binnedDisk, disk, entry as newEntry, newDisk } from '../../crds/testing/objects.ts'
import { World } from './testing.ts'

const FILE = '22222222-2222-4222-8222-222222222222'
type Phase = NonNullable<RecycledResource['status']>['phase']

/** Disk shop/data, which a manifest made to be what an entry holds: a file of 1 GiB on host-a, or one never made. */
function newWorld(phase: Phase, isMade = true, spec: Parameters<typeof newDisk>[0] = {}) {
  const was = disk('data')
  const uid = '44444444-4444-4444-8444-444444444444'
  const annotations = { [RECOVERED_FROM_ANNOTATION]: was.metadata.uid }
  const world = new World(newDisk(spec, { name: 'data', uid, annotations }))
  if (isMade) world.host.disks.set(FILE, 2 ** 30)
  const stamped = world.recycled.stamp(was)
  const held = { name: 'data', uid: was.metadata.uid, id: FILE, dataStorage: 'local', size: '1Gi' }
  const contents = { manifest: {}, ...(isMade && { host: 'host-a', disks: [held] }) }
  const name = stamped.metadata.name
  const to = (next: Phase) =>
    void world.recycled.entries.set(name, { ...stamped, spec: { ...stamped.spec, contents }, status: { phase: next } })
  to(phase)
  const remove = () => {
    if (world.stored) world.recycled.stamp(world.stored)
    world.store.change(({ metadata }) => void (metadata.deletionTimestamp = '2026-01-01T00:00:00Z'))
  }
  return { world, to, remove, end: () => void world.recycled.entries.delete(name) }
}

describe('Disk', () => {
  test.each([
    ['is as before', {}, 2 ** 30],
    ['is larger, and grows', { size: '2Gi' }, 2 ** 31],
    ['is smaller, and stays as large', { size: '512Mi' }, 2 ** 30],
    ['is of an image, and is not made of it', { source: { image: { name: 'debian' } } }, 2 ** 30],
  ])('[DEL-16] comes back with its file where its manifest %s', async (_, spec, bytes) => {
    const { world } = newWorld('Recovering', true, spec)
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.stored?.status).toMatchObject({ id: FILE, host: 'host-a', dataStorage: 'local' })
    expect([...world.host.disks]).toEqual([[FILE, bytes]])
  })

  test.each<[Phase, string]>([
    ['Binned', 'Recovering'],
    ['Purging', 'NotRecoverable'],
  ])('[DEL-16] gets no file while its entry is %s', async (phase, reason) => {
    const { world, to } = newWorld(phase)
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ reason })
    expect([world.stored?.status?.id, [...world.host.disks.keys()]]).toEqual([undefined, [FILE]])
    to('Recovering')
    await world.settle()
    expect(world.stored?.status?.id).toBe(FILE)
  })

  test('[DEL-16] is not made empty when its entry is gone', async () => {
    const { world, end } = newWorld('Binned')
    end()
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ reason: 'NotRecoverable' })
    expect([...world.host.disks.keys()]).toEqual([FILE])
  })

  test('[DEL-16] that was never made comes back as a new one, and is that also when its entry is gone', async () => {
    const { world, end } = newWorld('Recovering', false)
    await world.reconcile()
    end()
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    expect([...world.host.disks.keys()]).toEqual([world.stored?.metadata.uid])
  })

  test('[DEL-16] that is deleted before it has its file leaves that in the entry, and makes none', async () => {
    const { world, remove } = newWorld('Binned')
    remove()
    await world.settle()
    expect([world.stored, [...world.host.disks.keys()]]).toEqual([undefined, [FILE]])
    expect([...world.recycled.entries.values()].map(({ status }) => status?.phase)).toEqual(['Binned'])
  })

  test('[DEL-16] that is deleted while it comes back is put away once its entry is gone', async () => {
    const { world, remove, end } = newWorld('Recovering')
    remove()
    await world.settle()
    expect(world.condition('CleanedUp')).toMatchObject({ reason: 'PuttingAway' })
    expect(world.stored?.status?.id).toBe(FILE)
    end()
    await world.settle()
    expect(world.stored).toBeUndefined()
    const entries = [...world.recycled.entries.values()]
    expect(entries).toMatchObject([{ spec: { contents: { disks: [{ id: FILE }] } }, status: { phase: 'Binned' } }])
  })

  test('[DEL-20] that its machine took along gets its file after the first one, for until then nothing is begun', async () => {
    const root = { ...binnedDisk('web-root'), manifest: {} }
    const held = { ...binnedDisk('data'), id: FILE }
    const entry = newEntry('VirtualMachine', 'web', { host: 'host-a', disks: [root, held] })
    const { name } = entry.metadata
    const world = new World(newDisk({}, { name: 'data', annotations: { [RECOVERED_FROM_ANNOTATION]: name } }))
    world.host.disks.set(FILE, 2 ** 30)
    world.recycled.entries.set(name, { ...entry, status: { phase: 'Recovering' } })
    await world.settle()
    const message = 'It comes back once the first disk of its machine is back'
    expect(world.condition('Ready')).toMatchObject({ reason: 'Recovering', message })
    expect(world.stored?.status?.id).toBeUndefined()
    world.others.push(disk('web-root', { id: root.id }))
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    expect([world.stored?.status?.id, world.stored?.status?.attachedTo]).toEqual([FILE, undefined])
  })

  test('[DEL-16] whose manifest nobody judged is not made', async () => {
    const annotations = { 'holdfast.dev/recover': FILE }
    const world = new World(newDisk({}, { name: 'data', annotations }))
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ reason: 'NotRecoverable' })
    expect(world.host.disks.size).toBe(0)
  })
})
