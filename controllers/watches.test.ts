import { expect, test } from 'vitest'
import type { ObservedMachine } from '../agent/contract.ts'
import { attachment, disk, entry, machine } from '../crds/testing/objects.ts'
import { MACHINE_ID_LABEL } from '../crds/virtual-machine.ts'
import { newCaches } from './cluster/caches.ts'
import { watchVirtualMachines } from './virtual-machine/watches.ts'
import { watchDisks } from './disk/watches.ts'

const OLD = '11111111-1111-4111-8111-111111111111'
const NEW = '22222222-2222-4222-8222-222222222222'

test('A machine is looked at when a disk that it names no more is seen to be attached to it', () => {
  const caches = newCaches()
  const looked: string[] = []
  watchVirtualMachines(caches, (key) => looked.push(key))
  caches.virtualMachines.put({ ...machine(), status: { machineId: OLD, host: 'host-a' } })
  looked.length = 0
  caches.disks.put(disk('data', { attachedTo: { virtualMachine: 'web', machineId: OLD } }))
  expect(looked).toContain('shop/web')
})

test('A disk of a machine that is gone is looked at again when it is known that one of its name is another one', () => {
  const caches = newCaches()
  const looked: string[] = []
  watchDisks(caches, (key) => looked.push(`Disk ${key}`))
  watchVirtualMachines(caches, (key) => looked.push(`VirtualMachine ${key}`))
  const waiting = machine({ disks: [attachment('web-root')] }, { name: 'other', uid: 'u-3' })
  caches.virtualMachines.put({ ...waiting, status: { machineId: 'm-3', host: 'host-a' } })
  caches.disks.put(disk('web-root', { attachedTo: { virtualMachine: 'web', machineId: OLD } }))
  const anew = machine({}, { uid: 'u-2', resourceVersion: '20' })
  caches.virtualMachines.put(anew)
  looked.length = 0

  caches.virtualMachines.put({
    ...anew,
    metadata: { ...anew.metadata, resourceVersion: '21' },
    status: { machineId: NEW, host: 'host-a' },
  })
  expect(looked).toContain('Disk shop/web-root')
  expect(looked).toContain('VirtualMachine shop/other')
})

test('A disk is looked at when another machine than its own is seen to have it, and when that lets it go', () => {
  const caches = newCaches()
  const looked: string[] = []
  const tell = watchDisks(caches, (key) => looked.push(key))
  const attachedTo = { virtualMachine: 'web', machineId: OLD }
  const id = '33333333-3333-4333-8333-333333333333'
  const has = (machineId: string, ...disks: string[]) => {
    looked.length = 0
    const held = disks.map((one) => ({ id: one, storage: 'local' }))
    tell({ type: 'Machine', host: 'host-a', machine: observed(machineId, held) })
    return looked
  }
  caches.disks.put(disk('data', { id, attachedTo }))
  expect(has(OLD, id)).toEqual([])
  expect(has(NEW, id)).toEqual(['shop/data'])
  caches.disks.put(disk('data', { id, attachedTo, heldBy: { machineId: NEW } }, { resourceVersion: '2' }))
  expect(has(NEW)).toEqual(['shop/data'])
})

function observed(id: string, disks: ObservedMachine['disks']): ObservedMachine {
  const decision = { id: '44444444-4444-4444-8444-444444444444', epoch: 1 }
  const now = { power: 'Running', state: 'Running', restarts: 0, revision: 1 } as const
  return { id, name: 'shop/web', decision, ...now, pendingRestart: [], disks }
}

test.each([
  ['the disk that it boots from', entry('Disk', 'web-root', {})],
  ['a disk that was made for it', entry('Disk', 'old-root', { manifest: { metadata: { labels: madeFor(OLD) } } })],
])('[DEL-15] A machine is looked at when the recycle bin has %s no more', (_, binned) => {
  const caches = newCaches()
  const looked: string[] = []
  watchVirtualMachines(caches, (key) => looked.push(key))
  caches.virtualMachines.put({ ...machine(), status: { machineId: OLD, host: 'host-a' } })
  caches.recycled.put(binned)
  looked.length = 0
  caches.recycled.delete(binned)
  expect(looked).toContain('shop/web')
})

function madeFor(machineId: string): Record<string, string> {
  return { [MACHINE_ID_LABEL]: machineId }
}
