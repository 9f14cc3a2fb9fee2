import { describe, expect, test } from 'vitest'
import { AgentError } from '../../agent/errors.ts'
import { condition, dataStorage, disk, image, machine, newDisk } from '../../crds/testing/objects.ts'
import { MACHINE_ID_LABEL } from '../../crds/virtual-machine.ts'
import { fakeHost } from '../fleet/testing.ts'
import { World } from './testing.ts'

const GI = 2 ** 30
const MACHINE_ID = '11111111-1111-4111-8111-111111111111'
const OTHER_ID = '22222222-2222-4222-8222-222222222222'
const fromImage = { source: { image: { name: 'debian' } }, size: '2Gi' }

describe('Disk', () => {
  test('gets a storage, then a file: two status writes and one event', async () => {
    const world = new World(newDisk())
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    const { uid } = world.stored?.metadata ?? {}
    expect(world.stored?.status).toMatchObject({ host: 'host-a', dataStorage: 'local', id: uid, size: '1Gi' })
    expect([...world.host.disks]).toEqual([[uid, GI]])
    expect(world.store.writes).toBe(2)
    expect(world.store.events).toEqual(['Normal Ready'])
  })

  test("with a label that is no identity of a machine is nobody's", async () => {
    const world = new World(newDisk({}, { labels: { [MACHINE_ID_LABEL]: 'not-a-uuid' } }))
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.stored?.status).not.toHaveProperty('attachedTo')
  })

  test('on a storage that its spec names is there after one status write', async () => {
    const world = new World(newDisk({ dataStorage: 'local' }))
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.store.writes).toBe(1)
  })

  test('tells that its host has made it before the API server knows', async () => {
    const world = new World(newDisk({ dataStorage: 'local' }))
    world.host.slow = true
    await world.reconcile()
    expect(world.made).toEqual([])
    world.host.slow = false
    world.store.crash = new Error('the API server went away')
    await expect(world.reconcile()).rejects.toThrow('went away')
    expect(world.made).toEqual([world.stored?.metadata.name])
  })

  test('writes nothing and asks nothing of its host while all is well', async () => {
    const world = new World(newDisk(fromImage))
    await world.reconcile()
    const { writes } = world.store
    const { asked } = world.host
    await world.reconcile(3)
    expect([world.store.writes, world.host.asked]).toEqual([writes, asked])
  })

  test('stores where it goes before a host hears of it', async () => {
    const world = new World(newDisk())
    world.store.crash = new Error('the API server went away')
    await expect(world.reconcile()).rejects.toThrow('went away')
    expect(world.host.disks.size).toBe(0)
  })

  test('goes where there is most room, among the hosts that have its image', async () => {
    const world = new World(newDisk(fromImage))
    world.hosts.push(fakeHost('host-b'))
    world.storages.set('small', dataStorage({ capacity: '10Gi' }, 'small'))
    world.storages.set('elsewhere', dataStorage({ capacity: '900Gi' }, 'elsewhere', 'host-b'))
    await world.reconcile()
    expect(world.stored?.status).toMatchObject({ dataStorage: 'local', host: 'host-a' })
  })

  test.each<[string, (world: World) => unknown, string, RegExp]>([
    ['there is no image', ({ images }) => images.clear(), 'ImageNotFound', /^There is no Image debian .*: create it$/],
    [
      'its image is not ready',
      ({ images }) => images.set('debian', image({ conditions: [condition({ status: 'False', message: 'no file' })] })),
      'ImageNotReady',
      /^Image debian is not ready: no file$/,
    ],
    [
      'it is smaller than its image',
      ({ images }) => images.set('debian', image({ virtualSize: '3Gi' })),
      'DiskTooSmall',
      /: ask for 3Gi or more$/,
    ],
    [
      'there is no storage',
      ({ storages }) => storages.clear(),
      'NoDataStorageFits',
      /^There is no DataStorage: create/,
    ],
    [
      'no storage is where its image is',
      ({ images }) => images.set('debian', image({ hosts: ['host-b'] })),
      'NoDataStorageFits',
      /^No DataStorage is on a host that has the image: put its file/,
    ],
    [
      'no storage has room',
      ({ storages }) => storages.set('local', dataStorage({ capacity: '512Mi' })),
      'NoDataStorageFits',
      /local has room for 1Gi of disks, 2Gi are asked: ask for less, make room/,
    ],
    [
      'no storage can be used',
      ({ storages }) =>
        storages.set(
          'local',
          dataStorage({ conditions: [condition({ type: 'Usable', status: 'False', reason: 'Full' })] }),
        ),
      'NoDataStorageFits',
      /local is not usable \(Full\): ask for less, make room/,
    ],
  ])('says what to do when %s, and is made when that is mended', async (_name, spoil, reason, message) => {
    const world = new World(newDisk(fromImage))
    spoil(world)
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'False', reason, message: expect.stringMatching(message) })
    const { writes } = world.store
    await world.reconcile(3)
    expect([world.store.writes, world.host.asked]).toEqual([writes, 0])

    world.images.set('debian', image())
    world.storages.set('local', dataStorage())
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
  })

  test.each<[string, (world: World) => unknown, string, RegExp]>([
    [
      'does not exist',
      ({ storages }) => storages.clear(),
      'DataStorageNotFound',
      /^There is no DataStorage local: create/,
    ],
    [
      'cannot be used',
      ({ storages }) => storages.set('local', dataStorage({ conditions: [] })),
      'DataStorageNotReady',
      /^DataStorage local was not looked at yet$/,
    ],
    [
      'has no room',
      ({ ledger }) => ledger.diskChanged(undefined, disk('other', { size: '200Gi' })),
      'NoDataStorageFits',
      /^DataStorage local has room for 0 bytes of disks, 2Gi are asked: ask for less, make room/,
    ],
    [
      'is on a host without the image',
      ({ images }) => images.set('debian', image({ hosts: ['host-b'] })),
      'ImageNotReady',
      /^Host host-a does not have the file of Image debian: put it into its import folder$/,
    ],
  ])('says what to do when the storage that it names %s', async (_name, spoil, reason, message) => {
    const world = new World(newDisk({ ...fromImage, dataStorage: 'local' }))
    spoil(world)
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'False', reason, message: expect.stringMatching(message) })
    expect(world.host.disks.size).toBe(0)
  })

  test('of a machine takes the room that was found for it with the machine', async () => {
    const world = new World(newDisk({ dataStorage: 'local' }, { labels: { [MACHINE_ID_LABEL]: MACHINE_ID } }))
    world.ledger.diskChanged(undefined, disk('other', { size: '199Gi' }))
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
  })

  test('that was made for a machine is attached to it from its first status on', async () => {
    const labels = { [MACHINE_ID_LABEL]: MACHINE_ID }
    const world = new World(newDisk({ dataStorage: 'local' }, { name: 'db-root-root', labels }))
    await world.reconcile()
    expect(world.store.writes).toBe(1)
    expect(world.stored?.status?.attachedTo).toEqual({ virtualMachine: 'db-root', machineId: MACHINE_ID })
  })

  test('that is labelled for a machine stays attached to another one as long as that has it', async () => {
    const attachedTo = { virtualMachine: 'other', machineId: OTHER_ID }
    const labels = { [MACHINE_ID_LABEL]: MACHINE_ID }
    const world = new World({
      ...newDisk({ dataStorage: 'local' }, { name: 'web-root', labels }),
      status: { attachedTo },
    })
    world.machines.set('other', { ...machine(), status: { machineId: OTHER_ID } })
    await world.settle()
    expect(world.stored?.status?.attachedTo).toEqual(attachedTo)
    // Only the controller of machines gives it back.
    expect(world.store.patches.flatMap(Object.keys)).not.toContain('attachedTo')

    world.machines.set('other', { ...machine(), status: { machineId: MACHINE_ID } })
    await world.reconcile()
    expect(world.stored?.status?.attachedTo).toEqual({ virtualMachine: 'web', machineId: MACHINE_ID })
  })

  test('leaves to whom it is attached to the controller of machines', async () => {
    const attachedTo = { virtualMachine: 'web', machineId: MACHINE_ID }
    const world = new World({ ...newDisk(), status: { attachedTo } })
    await world.reconcile()
    expect(world.stored?.status?.attachedTo).toEqual(attachedTo)
    expect(world.store.patches).toHaveLength(2)
    expect(world.store.patches.flatMap(Object.keys)).not.toContain('attachedTo')
  })

  test('waits while it is made, and needs its image and its storage no more once it is', async () => {
    const world = new World(newDisk(fromImage))
    world.host.slow = true
    const { retryAfterMs } = await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'False', reason: 'Creating' })
    expect(retryAfterMs).toBe(5_000)
    world.host.slow = false
    await world.reconcile()
    world.images.clear()
    world.storages.clear()
    const { writes } = world.store
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.store.writes).toBe(writes)
  })

  test.each([
    ['UNREACHABLE', 'Unknown', 'HostUnreachable', 5_000],
    ['NO_SPACE', 'False', 'HostRefused', 5_000],
    ['IMAGE_REJECTED', 'False', 'HostRefused', 5_000],
    ['BAD_REQUEST', 'False', 'HostRefused', undefined],
  ] as const)('shows a host that answers %s', async (code, status, reason, wait) => {
    const world = new World(newDisk())
    world.host.fault = new AgentError(code, 'what the host says')
    const { retryAfterMs } = await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status, reason })
    expect(retryAfterMs).toBe(wait)
    world.host.fault = undefined
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
  })
})
