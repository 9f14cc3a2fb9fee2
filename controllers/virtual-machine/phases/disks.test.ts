import { describe, expect, test } from 'vitest'
import type { Disk } from '../../../crds/disk.ts'
import { attachment, condition, disk, machine } from '../../../crds/testing/objects.ts'
import { RECOVERED_FROM_ANNOTATION } from '../../../crds/recycled-resource.ts'
import { MACHINE_ID_LABEL } from '../../../crds/virtual-machine.ts'
import { contentsOfDisk } from '../../../policy/recycled-contents.ts'
import { running, World } from '../testing.ts'

const OTHER = '11111111-1111-4111-8111-111111111111'
const ID = '33333333-3333-4333-8333-333333333333'
const placed = { machineId: ID, host: 'host-a', runStrategy: 'Always' }
const attachedTo = { virtualMachine: 'other', machineId: OTHER }

describe('VirtualMachine', () => {
  test.each([
    ['is gone', undefined],
    ['was made anew', '55555555-5555-4555-8555-555555555555'],
  ])('takes over a disk whose holder %s', async (_name, machineId) => {
    const world = new World(machine({ rootDisk: { diskRef: { name: 'boot' } } }))
    world.disks.set('boot', disk('boot', { attachedTo }))
    if (machineId !== undefined) world.others.set('other', { ...machine(), status: { machineId } })
    await world.reconcile()
    expect(world.disks.get('boot')?.status?.attachedTo).toEqual({
      virtualMachine: 'web',
      machineId: world.stored?.status?.machineId,
    })
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
  })

  test.each([
    ['runs', { machineId: OTHER }],
    ['has lost its status', {}],
  ])('leaves a disk to its holder that %s, and gets it when that one gives it back', async (_name, status) => {
    const world = new World(machine({ disks: [attachment('data')] }))
    world.disks.set('data', disk('data', { attachedTo }))
    world.others.set('other', { ...machine(), status })
    await world.reconcile()
    world.finishDisk('web-root')
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({
      reason: 'DiskInUse',
      message: 'Disk data is attached to VirtualMachine other: detach it there first, or use another disk',
    })
    expect(world.disks.get('data')?.status?.attachedTo).toEqual(attachedTo)
    expect(world.host.orders).toEqual([])
    expect(world.events).toEqual(['Warning DiskInUse'])

    world.disks.set('data', disk('data'))
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
  })

  test('that came back from the recycle bin without a root disk has it made on its own host', async () => {
    const world = new World({ ...machine(), status: { machineId: OTHER, host: 'host-a', runStrategy: 'Always' } })
    const TI = 2 ** 40
    const [capacityBytes, availableBytes] = [TI, TI]
    world.foreignStorage = { name: 'roomy', host: 'host-b', capacityBytes, availableBytes, provisionedBytes: 0 }
    await world.reconcile(2)
    expect(world.disks.get('web-root')?.spec.dataStorage).toBe('local')
    expect(world.stored?.status?.dataStorage).toBe('local')
    world.finishDisk('web-root')
    await world.reconcile(2)
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
  })

  test('that came back without a root disk, and for which its host has no room, says so', async () => {
    const world = new World({ ...machine(), status: { machineId: OTHER, host: 'host-a', runStrategy: 'Always' } })
    world.store.change(({ spec }) => void (spec.rootDisk.size = '1Ti'))
    await world.settle()
    expect(world.disks.size).toBe(0)
    expect(world.condition('DisksReady')).toMatchObject({
      reason: 'NoHostFits',
      message: expect.stringContaining('Host host-a, where the machine is, has no room'),
    })
  })

  test('[DEL-15] names the entry of a disk that is in the recycle bin, rather than have a blank one made', async () => {
    const world = new World(machine({ rootDisk: { diskRef: { name: 'boot' } } }))
    const { metadata } = world.recycled.stamp(disk('boot'))
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({
      reason: 'DiskNotFound',
      message: `There is no Disk boot in namespace shop: it is in the recycle bin: kubectl patch recycled ${metadata.name} --type=merge -p '{"spec":{"action":"Recover"}}'`,
    })
  })

  const fromBin = { [RECOVERED_FROM_ANNOTATION]: '22222222-2222-4222-8222-222222222222' }
  const own = { [MACHINE_ID_LABEL]: ID }
  test.each([
    ['that was made for it', 'contents', own, {}],
    ['that its delete saw', 'lastSeen', own, {}],
    ['whose label somebody took off', 'contents', {}, fromBin],
  ] as const)(
    '[DEL-15] has no blank root disk made in place of one in the recycle bin %s',
    async (_name, field, labels, annotations) => {
      const world = new World({ ...machine({}, { annotations }), status: placed })
      const binned = disk('web-root', {}, { labels })
      const { metadata, spec } = world.recycled.stamp(binned)
      spec[field] = contentsOfDisk(binned)
      await world.settle()
      expect(world.condition('DisksReady')).toMatchObject({
        reason: 'DiskNotFound',
        message: `Disk web-root of this machine is in the recycle bin: bring it back: kubectl patch recycled ${metadata.name} --type=merge -p '{"spec":{"action":"Recover"}}', and then set its label compute.holdfast.dev/machine-id to ${ID}`,
      })
      expect(world.disks.size).toBe(0)

      world.recycled.entries.clear()
      world.disks.set('web-root', disk('web-root', {}, { labels: own }))
      await world.reconcile(2)
      expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    },
  )

  test('[DEL-15] has no blank root disk made in place of its own that is in the recycle bin under another name', async () => {
    const world = new World({ ...machine({}, { annotations: fromBin }), status: placed })
    const binned = disk('old-root', {}, { labels: own, namespace: 'lab' })
    const { metadata, spec } = world.recycled.stamp(binned)
    spec.contents = contentsOfDisk(binned)
    await world.settle()
    expect(world.condition('DisksReady')).toMatchObject({
      reason: 'DiskNotFound',
      message: `Disk lab/old-root of this machine is in the recycle bin: bring it back as web-root: kubectl patch recycled ${metadata.name} --type=merge -p '{"spec":{"action":"Recover","recoverAs":{"namespace":"shop","name":"web-root"}}}', and then set its label compute.holdfast.dev/machine-id to ${ID}; or bring it back under its own name, to have a new root disk made`,
    })
    expect(world.disks.size).toBe(0)

    world.recycled.entries.clear()
    await world.reconcile()
    expect(world.disks.get('web-root')?.metadata.labels).toEqual(own)
  })

  test.each([
    ['another machine', { [MACHINE_ID_LABEL]: OTHER }, {}, fromBin],
    ['an older one of its name', {}, {}, {}],
    ['it, and never held anything', own, { size: undefined }, fromBin],
  ])(
    'has its root disk made although the recycle bin has one of %s',
    async (_name, labels, status: Disk['status'], annotations) => {
      const world = new World({ ...machine({}, { annotations }), status: placed })
      const binned = disk('web-root', status, { labels })
      world.recycled.stamp(binned).spec.contents = contentsOfDisk(binned)
      await world.reconcile()
      expect(world.disks.get('web-root')?.metadata.labels).toEqual(own)
    },
  )

  test('says which of its disks has lost its file', async () => {
    const world = new World(machine({ rootDisk: { diskRef: { name: 'boot' } } }))
    const lost = condition({ status: 'False', reason: 'FileMissing', message: 'restore it' })
    world.disks.set('boot', disk('boot', { conditions: [lost] }))
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({
      reason: 'DiskNotFound',
      message: 'The file of Disk boot is gone: restore it',
    })
    expect(world.host.orders).toEqual([])
  })

  test('is not started when somebody else claims its disk at the same moment', async () => {
    const world = new World(machine({ disks: [attachment('data')] }))
    world.disks.set('data', disk('data'))
    await world.reconcile()
    world.finishDisk('web-root')
    world.attachmentFault = new Error('the object changed meanwhile')
    await expect(world.reconcile()).rejects.toThrow('meanwhile')
    expect(world.host.orders).toEqual([])
    expect(world.condition('Ready')?.status).not.toBe('True')
  })

  test.each([
    ['another machine', { [MACHINE_ID_LABEL]: OTHER }, /without its label compute.holdfast.dev\/machine-id/],
    ['nobody', {}, /boot from it with rootDisk.diskRef/],
  ])('leaves a disk of its name alone that was made for %s', async (_name, labels, message) => {
    const world = new World(machine())
    world.disks.set('web-root', disk('web-root', {}, { labels }))
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({
      reason: 'DiskNameTaken',
      message: expect.stringMatching(message),
    })
  })

  test.each(['running', 'attached'])('has the label of its own root disk set back while it is %s', async (how) => {
    const world = await running()
    const { machineId = '' } = world.stored?.status ?? {}
    const root = world.disks.get('web-root')
    if (!root) throw new Error('there is no root disk')
    root.metadata.labels = { [MACHINE_ID_LABEL]: OTHER }
    if (how === 'attached') {
      root.status = { ...root.status, attachedTo: { virtualMachine: 'web', machineId } }
      world.store.change(({ spec }) => void (spec.runStrategy = 'Halted'))
    }
    await world.settle()
    expect(world.condition('DisksReady')).toMatchObject({
      reason: 'DiskInUse',
      message: `Disk web-root is this machine's, but is not labelled so: set its label ${MACHINE_ID_LABEL} back to ${machineId}`,
    })
  })

  test('does not wait until the API server knows of a root disk that its host has made', async () => {
    const world = new World(machine())
    await world.reconcile()
    expect(world.host.orders).toHaveLength(0)
    world.made.add('web-root')
    await world.reconcile()
    expect(world.host.orders).toHaveLength(1)
    world.finishDisk('web-root')
    await world.reconcile()
    expect(world.host.orders).toHaveLength(1)
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
  })

  test('waits for an older disk of its name that is being deleted', async () => {
    const world = new World(machine())
    const labels = { [MACHINE_ID_LABEL]: OTHER }
    world.disks.set('web-root', disk('web-root', {}, { labels, deletionTimestamp: '2026-01-01T00:00:00Z' }))
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ message: 'An older Disk web-root is still being deleted' })
    world.disks.delete('web-root')
    await world.reconcile()
    expect(world.disks.get('web-root')?.metadata.labels).toEqual({
      [MACHINE_ID_LABEL]: world.stored?.status?.machineId,
    })
  })

  test.each([
    ['being deleted', disk('data', {}, { deletionTimestamp: '2026-01-01T00:00:00Z' }), /is being deleted/],
    ['on another host', disk('data', { host: 'host-b' }), /is on host host-b, the machine on host-a/],
    [
      'not ready',
      disk('data', { conditions: [condition({ status: 'False', message: 'it breaks' })] }),
      /not ready: it breaks/,
    ],
    ["another machine's root disk", disk('data', {}, { labels: { [MACHINE_ID_LABEL]: OTHER } }), /use another disk/],
  ])('runs on while a disk that was added is %s, and says so', async (_name, added, message) => {
    const world = await running()
    const orders = world.host.orders.length
    world.disks.set('data', added)
    world.store.change(({ spec }) => void (spec.disks = [attachment('data')]))
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'False', message: expect.stringMatching(message) })
    expect(world.condition('PowerStateReached')).toMatchObject({ status: 'True' })
    expect(world.host.orders).toHaveLength(orders)
    expect(world.disks.get('data')?.status?.attachedTo).toBeUndefined()
  })

  test('writes nothing and asks nothing of its host while it waits for a disk', async () => {
    const world = await running()
    world.store.change(({ spec }) => void (spec.disks = [attachment('data')]))
    await world.settle()
    const { writes, events } = world
    const { asked } = world.host
    await world.reconcile(3)
    expect({ writes: world.writes, events: world.events, asked: world.host.asked }).toEqual({ writes, events, asked })
  })

  test('is not given a fresh root disk in place of one that is lost, running or halted', async () => {
    const world = await running()
    const lost = world.disks.get('web-root')
    world.disks.clear()
    world.restart()
    await world.settle()
    expect(world.condition('DisksReady')).toMatchObject({
      reason: 'DiskNotFound',
      message: 'Disk web-root, which the machine booted from, is gone: restore it, or delete the machine',
    })
    expect(world.condition('PowerStateReached')).toMatchObject({ status: 'True' })
    world.unplug()
    await world.settle()
    expect(world.condition('DisksReady')).toMatchObject({ status: 'Unknown', reason: 'HostUnreachable' })
    expect(world.disks.size).toBe(0)

    world.host.state = 'Connected'
    world.host.fault = undefined
    if (lost) world.disks.set('web-root', lost)
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
  })

  test('is given its root disk after it was switched off before that was made', async () => {
    const world = new World(machine())
    world.creationFault = new Error('the API server is away')
    await expect(world.reconcile()).rejects.toThrow('away')
    world.store.change(({ spec }) => void (spec.runStrategy = 'Halted'))
    await expect(world.reconcile()).rejects.toThrow('away')
    expect(world.host.orders.at(-1)).toMatchObject({ power: 'Stopped', disks: [] })

    world.creationFault = undefined
    world.store.change(({ spec }) => void (spec.runStrategy = 'Always'))
    await world.reconcile()
    world.finishDisk('web-root')
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
  })

  test('is not given a fresh root disk after it was switched off while that was lost', async () => {
    const world = await running()
    const { disks } = world.host.orders.at(-1) ?? {}
    world.disks.clear()
    world.store.change(({ spec }) => void (spec.runStrategy = 'Halted'))
    await world.settle()
    expect(world.host.orders.at(-1)).toMatchObject({ power: 'Stopped', disks })
    world.restart()
    world.store.change(({ spec }) => void (spec.runStrategy = 'Always'))
    await world.settle()
    expect(world.condition('DisksReady')).toMatchObject({ reason: 'DiskNotFound' })
    expect(world.disks.size).toBe(0)
  })

  test('of 63 letters has a root disk named after it', async () => {
    const name = 'a'.repeat(63)
    const world = new World(machine({}, { name }))
    await world.reconcile()
    expect([...world.disks.keys()]).toEqual([`${name}-root`])
  })
})
