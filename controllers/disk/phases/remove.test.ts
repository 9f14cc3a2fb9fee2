import { describe, expect, test } from 'vitest'
import { AgentError } from '../../../agent/errors.ts'
import {
  binnedDisk,
  dataStorage,
  disk as readyDisk,
  entry as newEntry,
  machine,
  newDisk,
} from '../../../crds/testing/objects.ts'
import { MACHINE_ID_LABEL } from '../../../crds/virtual-machine.ts'
import { fakeHost } from '../../fleet/testing.ts'
import { World } from '../testing.ts'

const MACHINE_ID = '11111111-1111-4111-8111-111111111111'
const attachedTo = { virtualMachine: 'web', machineId: MACHINE_ID }

describe('Disk', () => {
  test('that is deleted takes its file along, and then its finalizer off', async () => {
    const world = await deleted()
    await world.reconcile()
    expect(world.host.disks.size).toBe(0)
    expect(world.stored).toBeUndefined()
  })

  test('whose status says that it is the file of another Disk takes that along no more', async () => {
    const world = await deleted()
    const victim = readyDisk('victim', { id: MACHINE_ID })
    world.others.push(victim)
    world.host.disks.set(MACHINE_ID, 1)
    world.store.change(({ status }) => void Object.assign(status ?? {}, { id: MACHINE_ID }))
    await world.reconcile()
    expect(world.stored).toBeUndefined()
    expect(world.host.disks.has(MACHINE_ID)).toBe(true)
  })

  test.each([
    ['it was never looked at', newDisk()],
    ['the storage that it asked for never was', newDisk({ dataStorage: 'nowhere' })],
  ])('is gone at once when %s', async (_name, disk) => {
    const world = new World(disk)
    world.store.change(({ metadata }) => void (metadata.deletionTimestamp = '2026-01-01T00:00:00Z'))
    await world.reconcile()
    expect(world.stored).toBeUndefined()
    expect(world.host.asked).toBe(0)
  })

  test('is kept while a machine has it, and goes when that one gives it back', async () => {
    const world = await deleted(attachedTo)
    world.machines.set('web', { ...machine(), status: { machineId: MACHINE_ID } })
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({
      reason: 'Deleting',
      message:
        'The disk is attached to VirtualMachine web: it is deleted once it is detached there, or the machine is deleted',
    })
    const { writes } = world.store
    await world.reconcile(3)
    expect([world.store.writes, world.host.disks.size]).toEqual([writes, 1])

    world.store.change(({ status }) => {
      if (status) delete status.attachedTo
    })
    await world.reconcile()
    expect(world.stored).toBeUndefined()
  })

  test.each([
    ['is gone', undefined],
    ['was made anew', '55555555-5555-4555-8555-555555555555'],
  ])('goes when the machine that had it %s', async (_name, machineId) => {
    const world = await deleted(attachedTo)
    if (machineId !== undefined) world.machines.set('web', { ...machine(), status: { machineId } })
    await world.reconcile()
    expect(world.stored).toBeUndefined()
  })

  test('is kept while a machine of its holder name has no identity yet', async () => {
    const world = await deleted(attachedTo)
    world.machines.set('web', machine())
    await world.settle()
    expect(world.host.disks.size).toBe(1)
  })

  test.each([
    ['with that', true, undefined],
    ['into an entry of its own, when it was not seen then', false, 'Delayed'],
  ] as const)('[DEL-09] of a machine that is in the bin already goes %s', async (_, isIn, policy) => {
    const root = newDisk({}, { name: 'web-root', labels: { [MACHINE_ID_LABEL]: MACHINE_ID } })
    const { uid } = root.metadata
    const world = new World(root)
    const deletionTimestamp = '2026-01-01T00:00:00Z'
    const going = machine({}, { deletionTimestamp })
    world.machines.set('web', { ...going, status: { machineId: MACHINE_ID } })
    world.store.change((own) => {
      own.metadata.deletionTimestamp = deletionTimestamp
      own.status = { size: '1Gi', dataStorage: 'local', host: 'host-a', attachedTo }
    })
    world.host.disks.set(uid, 1)
    const held = { ...binnedDisk('web-root'), uid: isIn ? uid : MACHINE_ID }
    const binned = newEntry('VirtualMachine', 'web', { machineId: MACHINE_ID, disks: [held] })
    world.recycled.entries.set(going.metadata.uid, binned)
    await world.reconcile()
    expect([world.stored, world.host.disks.size]).toEqual([undefined, 1])
    const { deletion, contents } = world.recycled.entries.get(uid)?.spec ?? {}
    expect([deletion?.policy, contents?.disks?.[0]?.id]).toEqual([policy, policy && uid])
  })

  test.each([
    ['DISK_IN_USE', 'Disk 1 is claimed by machine 2: detach it there first'],
    ['STORAGE_UNAVAILABLE', 'There is no folder /srv/disks on this host'],
    ['UNREACHABLE', 'Host host-a does not answer; the file is deleted when it does'],
  ] as const)('is kept while its host answers %s, and tried again', async (code, message) => {
    const world = await deleted()
    world.host.fault = new AgentError(code, code === 'UNREACHABLE' ? 'no answer' : message)
    const { retryAfterMs } = await world.settle()
    expect(retryAfterMs).toBe(5_000)
    expect(world.condition('Ready')).toMatchObject({ reason: 'Deleting', message })
    world.host.fault = undefined
    await world.reconcile()
    expect(world.stored).toBeUndefined()
  })

  test('is deleted on the host that has its file, whatever became of its DataStorage', async () => {
    const world = await deleted()
    const other = fakeHost('host-b')
    world.hosts.push(other)
    world.storages.set('local', dataStorage({}, 'local', 'host-b'))
    await world.reconcile()
    expect(world.host.disks.size).toBe(0)
    expect(other.asked).toBe(0)
    expect(world.stored).toBeUndefined()
  })

  test('is kept, and says why, when the Host that has its file was deleted', async () => {
    const world = await deleted()
    world.hosts.pop()
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({
      message: 'There is no Host host-a, where the file is: create it again',
    })
    world.hosts.push(world.host)
    await world.reconcile()
    expect(world.stored).toBeUndefined()
  })
})

/** One that is destroyed by its delete. */
async function deleted(attachment?: typeof attachedTo): Promise<World> {
  const world = new World(newDisk({ deletionPolicy: 'Immediate' }))
  await world.reconcile()
  world.store.change(({ metadata, status }) => {
    metadata.deletionTimestamp = '2026-01-01T00:00:00Z'
    if (status && attachment) status.attachedTo = attachment
  })
  return world
}
