import { describe, expect, test } from 'vitest'
import { AgentError } from '../../../agent/errors.ts'
import { fileIdOf } from '../../../crds/disk.ts'
import { RECOVERED_FROM_ANNOTATION } from '../../../crds/recycled-resource.ts'
import { attachment, disk, entry as newEntry, machine } from '../../../crds/testing/objects.ts'
import { MACHINE_ID_LABEL } from '../../../crds/virtual-machine.ts'
import { contentsOfMachine } from '../../../policy/recycled-contents.ts'
import { running, World } from '../testing.ts'

const OTHER_ID = '99999999-9999-4999-8999-999999999999'

describe('VirtualMachine', () => {
  test('that was placed but never started is removed with its root disk', async () => {
    const world = new World(machine())
    await world.reconcile()
    expect(world.disks.has('web-root')).toBe(true)
    remove(world)
    await world.reconcile()
    expect(world.stored).toBeUndefined()
    expect(world.disks.size).toBe(0)
    expect(world.host.orders.map(({ power }) => power)).toEqual(['Absent'])
  })

  test('stores that it goes before its host hears of it', async () => {
    const world = await running()
    remove(world)
    world.store.crash = new Error('the API server went away')
    await expect(world.reconcile()).rejects.toThrow('went away')
    expect(world.host.orders.at(-1)).toMatchObject({ power: 'Running' })
    expect(world.disks.has('web-root')).toBe(true)
  })

  test('[DEL-08] that went without being put away is what it was once its entry brings it back', async () => {
    const world = await running()
    const before = world.stored ?? machine()
    const { machineId = '', host, decision } = before.status ?? {}
    const disks = [...world.disks.values()]
    world.store.put(undefined)
    const entry = newEntry('VirtualMachine', 'web', contentsOfMachine(before))
    world.recycled.entries.set(entry.metadata.name, { ...entry, status: { phase: 'Recovering' } })
    const annotations = { [RECOVERED_FROM_ANNOTATION]: entry.metadata.name }
    world.store.put(machine({ adopt: { machineId } }, { uid: OTHER_ID, annotations }))
    world.restart()
    await world.reconcile(3)
    const next = expect.objectContaining({ power: 'Running', epoch: (decision?.epoch ?? Infinity) + 1 })
    expect(world.stored?.status).toMatchObject({ machineId, host, decision: next })
    expect(world.host.orders.at(-1)).toMatchObject({ id: machineId, power: 'Running' })
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    expect([...world.disks.values()]).toEqual(disks)
  })

  test('keeps copies of its root disk, and disks that it booted from by name', async () => {
    const world = await running()
    const labels = { [MACHINE_ID_LABEL]: world.stored?.status?.machineId ?? '' }
    world.disks.set('copy', disk('copy', {}, { labels }))
    world.disks.set('web-root-elsewhere', disk('web-root', {}, { labels, namespace: 'elsewhere' }))
    remove(world)
    await world.reconcile()
    expect(world.stored).toBeUndefined()
    expect([...world.disks.keys()]).toEqual(['copy', 'web-root-elsewhere'])
  })

  test.each([
    ['takes a marked disk along', false],
    ['gives a marked disk back that another guest has on its host, whatever the records say', true],
  ])('[DEL-20] %s', async (_, isElsewhere) => {
    const world = new World(machine({ disks: [attachment('data', true)] }))
    const data = disk('data')
    world.disks.set('data', data)
    await world.reconcile()
    world.finishDisk('web-root')
    await world.reconcile()
    expect(data.status?.attachedTo?.virtualMachine).toBe('web')
    const [own] = world.host.machines.all()
    const disks = [{ id: fileIdOf(data), storage: 'local' }]
    if (own && isElsewhere) world.host.machines.note({ ...own, id: OTHER_ID, name: 'shop/db', disks })
    remove(world)
    await world.reconcile(2)
    expect(world.stored).toBeUndefined()
    expect([...world.disks.keys()]).toEqual(isElsewhere ? ['data'] : [])
    expect(world.disks.get('data')?.status?.attachedTo).toBeUndefined()
  })

  test('waits, without a write more, while its guest shuts down', async () => {
    const world = await running()
    const { agent } = world.host
    const putMachine = agent.putMachine.bind(agent)
    agent.putMachine = async (order, waitMs) => ({ ...(await putMachine(order, waitMs)), state: 'Stopping' })
    remove(world)
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({
      reason: 'Deleting',
      message: 'The guest was asked to shut down',
    })
    const { writes } = world
    await world.reconcile(3)
    expect(world.writes).toBe(writes)
    expect(world.disks.has('web-root')).toBe(true)

    agent.putMachine = putMachine
    world.host.session++
    await world.reconcile()
    expect(world.stored).toBeUndefined()
  })

  test.each([
    ['older', '2020-01-01T00:00:00Z', true],
    ['younger', '2026-06-01T00:00:00Z', false],
  ])('[DEL-08] that is on no host takes no disk from an %s one that it says it is', async (_, age, stays) => {
    const world = new World(machine())
    world.images.clear()
    const other = machine({}, { name: 'books', namespace: 'bank', uid: OTHER_ID, creationTimestamp: age })
    world.others.set('books', { ...other, status: { machineId: OTHER_ID, host: 'host-a' } })
    const attachedTo = { virtualMachine: 'books', machineId: OTHER_ID }
    world.disks.set('data', disk('data', { attachedTo }, { namespace: 'bank' }))
    world.store.change((vm) => void (vm.status = { machineId: OTHER_ID }))
    remove(world)
    await world.settle()
    expect(world.disks.get('data')?.status?.attachedTo).toEqual(attachedTo)
    expect(world.stored !== undefined).toBe(stays)
  })

  test.each([
    ['does not answer', 'UNREACHABLE'],
    ['cannot reach a storage', 'STORAGE_UNAVAILABLE'],
  ] as const)('is kept with its disks while its host %s', async (_name, code) => {
    const world = await running()
    remove(world)
    world.host.fault = new AgentError(code, 'why')
    const { retryAfterMs } = await world.settle()
    expect(retryAfterMs).toBe(5_000)
    expect(world.stored).toBeDefined()
    expect(world.disks.has('web-root')).toBe(true)
    world.host.fault = undefined
    await world.reconcile()
    expect(world.stored).toBeUndefined()
  })

  test('is kept, and says why, when the Host that it is on was deleted', async () => {
    const world = await running()
    world.hosts.pop()
    world.restart()
    remove(world)
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({
      reason: 'Deleting',
      message: 'There is no Host host-a, where the machine is: create it again',
    })
    expect(world.events).toContain('Warning HostNotFound')
    expect(world.disks.has('web-root')).toBe(true)
  })
})

function remove(world: World): void {
  world.store.change(({ metadata }) => void (metadata.deletionTimestamp = '2026-01-01T00:00:00Z'))
}
