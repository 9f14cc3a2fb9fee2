import { describe, expect, test } from 'vitest'
import { DataStorage } from '../crds/data-storage.ts'
import { Disk } from '../crds/disk.ts'
import type { DeletionPolicy } from '../crds/deletion.ts'
import { attachment, dataStorage, disk, entry, machine, platformSettings } from '../crds/testing/objects.ts'
import type { RecycledResource } from '../crds/recycled-resource.ts'
import { MACHINE_ID_LABEL, type VirtualMachine } from '../crds/virtual-machine.ts'
import { defaultDeletion } from '../policy/deletion.ts'
import { newCaches } from './caches.ts'
import { endingsIn, gatherDelete } from './facts.ts'
import { deleteDataStorage } from './rules/data-storage.ts'
import { deleteDisk } from './rules/disk.ts'

const ID = '11111111-1111-4111-8111-111111111111'
const OTHER = '22222222-2222-4222-8222-222222222222'
const now = () => new Date('2026-01-01T00:00:00Z')
/** Whose deletes ask nobody. */
const user = { username: 'system:serviceaccount:kube-system:generic-garbage-collector', groups: [], extra: {} }

/** What becomes of Disk shop/web-root, under which policy of its own kind, with what is known of machines. */
async function endOf(
  ofDisk: DeletionPolicy,
  vm?: VirtualMachine,
  labels: Record<string, string> = madeFor,
  binned?: RecycledResource,
) {
  const caches = newCaches()
  const { virtualMachine, disk: byDefault } = defaultDeletion
  const deletion = { ...defaultDeletion, virtualMachine, disk: { ...byDefault, policy: ofDisk } }
  const { spec, ...settings } = platformSettings()
  caches.settings.put({ ...settings, spec: { ...spec, deletion } })
  if (vm) caches.machines.put(vm)
  if (binned) caches.recycled.put(binned)
  const object = disk('web-root', {}, { labels })
  const kube = { send: async () => ({ status: 200, body: vm as never, warnings: [] }) }
  const { facts } = await gatherDelete({ kube, caches, now }, { kind: Disk, rules: deleteDisk, object, user })
  const { decision } = facts
  return decision?.policy === 'Delayed' ? decision.retention : decision?.policy
}

const madeFor = { [MACHINE_ID_LABEL]: ID }
const web = (deletionPolicy: DeletionPolicy | undefined, machineId?: string): VirtualMachine => ({
  ...machine({ deletionPolicy }),
  status: machineId === undefined ? {} : { machineId },
})

describe('[DEL-08] A Disk that is deleted by itself', () => {
  test.each<[string, VirtualMachine | undefined, string]>([
    ['that is there', web('Never', ID), 'Never'],
    ['that has lost its status', web('Never'), 'Never'],
    ['that has no policy of its own', web(undefined, ID), '7d'],
    ['that is gone', undefined, '7d'],
    ['that another one took the place of', web('Never', OTHER), '7d'],
  ])('is kept as its machine would be, %s', async (_name, vm, end) => {
    expect(await endOf('Immediate', vm)).toBe(end)
  })

  test.each<[string, string, string]>([
    ['for good', ID, 'Never'],
    ['for good, and is another one', OTHER, '7d'],
  ])('is kept as the recycle bin keeps its machine that is gone: %s', async (_name, machineId, end) => {
    const found = entry('VirtualMachine', 'web', { machineId })
    found.spec.deletion = { by: 'ann', at: found.spec.deletion.at, policy: 'Never' }
    expect(await endOf('Immediate', undefined, madeFor, found)).toBe(end)
  })

  test('is kept as the recycle bin keeps its machine, whatever that was called', async () => {
    const found = entry('VirtualMachine', 'renamed', { machineId: ID })
    found.spec.deletion = { by: 'ann', at: found.spec.deletion.at, policy: 'Never' }
    expect(await endOf('Immediate', undefined, madeFor, found)).toBe('Never')
  })

  test('ends as its own policy says where that keeps it longer, or where it was made for no machine', async () => {
    expect(await endOf('Never', web('Immediate', ID))).toBe('Never')
    expect(await endOf('Delayed', web('Immediate', ID))).toBe('3d')
    expect(await endOf('Immediate', web('Never', ID), {})).toBe('Immediate')
  })
})

describe('[DEL-20] Of a namespace that is deleted', () => {
  const made = { attachedTo: { virtualMachine: 'web', machineId: ID } }
  const going = (deletionPolicy?: DeletionPolicy): VirtualMachine => ({
    ...machine({ deletionPolicy, disks: [attachment('data', true), attachment('scratch')] }),
    status: { machineId: ID, host: 'host-a' },
  })
  test.each<[string, VirtualMachine, string[]]>([
    ['a marked disk counts with its machine', going(), ['VirtualMachine Delayed', 'Disk Delayed']],
    [
      'one that is kept longer counts by itself',
      going('Immediate'),
      ['VirtualMachine Immediate', 'Disk Delayed', 'Disk Delayed'],
    ],
  ])('%s', (_, vm, ends) => {
    const caches = newCaches()
    caches.machines.put(vm)
    for (const name of ['data', 'scratch']) caches.disks.put(disk(name, made))
    const kube = { send: async () => ({ status: 200, body: undefined as never, warnings: [] }) }
    expect(endingsIn({ kube, caches, now }, 'shop').map(({ kind, policy }) => `${kind} ${policy}`)).toEqual(ends)
  })
})

test('[REM-06] What confirms a delete is worth nothing once another Disk is concerned, also beyond those that are named', async () => {
  const tokenWith = async (last: string) => {
    const caches = newCaches()
    const names = [...Array.from({ length: 12 }, (_, index) => `disk-${index}`), last]
    for (const name of names) caches.disks.put(disk(name))
    const kube = { send: async () => Promise.reject(new Error('nobody is asked')) }
    const asked = { kind: DataStorage, rules: deleteDataStorage, object: dataStorage(), user }
    return (await gatherDelete({ kube, caches, now }, asked)).facts.token
  }
  expect(await tokenWith('zeta')).toBe(await tokenWith('zeta'))
  expect(await tokenWith('zeta')).not.toBe(await tokenWith('eta'))
})
