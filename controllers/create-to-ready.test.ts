import { expect, test } from 'vitest'
import type { Disk } from '../crds/disk.ts'
import { dataStorage, host, image, machine, newDisk } from '../crds/testing/objects.ts'
import type { VirtualMachine } from '../crds/virtual-machine.ts'
import { diskReconciler } from './disk/reconciler.ts'
import { newCandidates } from './fleet/candidates.ts'
import { FakeStore } from './fleet/fake-store.ts'
import { newLedger } from './fleet/ledger.ts'
import { fakeFleet, fakeHost } from './fleet/testing.ts'
import { FakeBin } from './recycle-bin/fake-bin.ts'
import { newOrders } from './virtual-machine/orders.ts'
import { virtualMachineReconciler } from './virtual-machine/reconciler.ts'

/** Both controllers over one cluster in memory. */
function newWorld() {
  const agent = fakeHost('host-a')
  const fleet = fakeFleet(agent)
  const ledger = newLedger()
  const vm = new FakeStore<VirtualMachine>(machine(), ledger.machineChanged)
  const world = { agent, vm, disk: undefined as FakeStore<Disk> | undefined, created: 0, attachments: 0 }
  const candidates = newCandidates({
    fleet,
    ledger,
    hosts: () => [host()],
    storages: () => [dataStorage()],
    storage: (name) => (name === 'local' ? dataStorage() : undefined),
    settings: () => undefined,
  })
  const disks = () => (world.disk?.stored ? [world.disk.stored] : [])
  let ids = 0
  const recycled = new FakeBin()
  const machines = virtualMachineReconciler({
    fleet,
    candidates,
    ledger,
    orders: newOrders(),
    bin: recycled.bin,
    image: () => image(),
    virtualMachine: () => vm.stored,
    machinesOf: () => (vm.stored ? [vm.stored] : []),
    disk: (_namespace, name) => disks().find(({ metadata }) => metadata.name === name),
    usersOf: () => [],
    disksOf: disks,
    disksOfFile: () => [],
    attachedTo: (id) => disks().filter(({ status }) => status?.attachedTo?.machineId === id),
    createDisk: async ({ metadata, spec }) => {
      world.created++
      const made = newDisk(spec, metadata)
      world.disk = new FakeStore(made, ledger.diskChanged)
      return made
    },
    readDisk: async (disk) => disk,
    deleteDisk: async () => {
      world.disk?.change(({ metadata }) => void (metadata.deletionTimestamp = '2026-01-01T00:00:00Z'))
    },
    setAttachment: async (disk) => {
      world.attachments++
      return disk
    },
    newId: () => `00000000-0000-4000-8000-${String(++ids).padStart(12, '0')}`,
    isMade: () => false,
    tellAnswer: () => undefined,
    now: () => new Date('2026-01-01T00:00:00Z'),
    newMac: () => '02:00:00:00:00:01',
  })
  const ofDisks = diskReconciler({
    fleet,
    candidates,
    ledger,
    made: { note: () => undefined },
    image: () => image(),
    virtualMachine: () => vm.stored,
    disksOfFile: () => [],
    adopters: new Map(),
    machinesOf: () => (vm.stored ? [vm.stored] : []),
    seen: new Map(),
    bin: recycled.bin,
  })
  const round = async (times: number) => {
    for (let i = 0; i < times; i++) {
      await vm.reconcile(machines)
      await world.disk?.reconcile(ofDisks)
    }
  }
  return { world, round, recycled }
}

test.each([0, 1, 3])(
  'VirtualMachine is Ready after 2 writes and 1 Event, its root Disk after at most 3 more, when making it takes %d rounds',
  async (slowRounds) => {
    const { world, round } = newWorld()
    world.agent.slow = slowRounds > 0
    await round(slowRounds)
    world.agent.slow = false
    await round(3)

    expect(world.vm.condition('Ready')).toMatchObject({ status: 'True' })
    expect([world.vm.writes, world.vm.events]).toEqual([2, ['Normal Ready']])
    const disk = required(world.disk)
    expect(world.created + disk.writes + world.attachments).toBeLessThanOrEqual(3)
    expect(disk.stored?.status?.attachedTo?.machineId).toBe(required(world.vm.stored).status?.machineId)
    expect(world.agent.orders).toHaveLength(1)
    expect([...world.agent.disks.values()]).toEqual([2 * 2 ** 30])
  },
)

test('VirtualMachine and its root Disk write nothing and ask nothing while all is well', async () => {
  const { world, round } = newWorld()
  await round(3)
  const before = [world.vm.writes, world.disk?.writes, world.agent.asked, world.attachments]
  await round(5)
  expect([world.vm.writes, world.disk?.writes, world.agent.asked, world.attachments]).toEqual(before)
})

test.each([
  ['its file', 'Immediate', 0],
  ['leaves the file to the recycle bin', 'Delayed', 1],
  ['leaves the file to the recycle bin', 'Never', 1],
] as const)(
  '[DEL-03] [DEL-04] VirtualMachine takes its root Disk along when it is deleted, and %s (%s)',
  async (_, policy, files) => {
    const { world, round, recycled } = newWorld()
    recycled.policy = policy
    await round(3)
    world.vm.change(({ metadata }) => void (metadata.deletionTimestamp = '2026-01-01T00:00:00Z'))
    await round(3)
    expect([world.vm.stored, world.disk?.stored]).toEqual([undefined, undefined])
    expect(world.agent.disks.size).toBe(files)
    const [entry, ...more] = recycled.entries.values()
    expect(more).toEqual([])
    expect(entry?.spec.contents?.disks).toMatchObject([{ name: 'web-root' }])
    expect(entry?.status?.phase).toBe(policy === 'Immediate' ? undefined : 'Binned')
  },
)

const points = ['create', 'fill', 'close'].flatMap((what) => [`before ${what} entry`, `after ${what} entry`])

test.each(points)('VirtualMachine is in the bin once, with its disk, when the controllers end %s', async (point) => {
  const { world, round, recycled } = newWorld()
  await round(3)
  world.vm.change(({ metadata }) => void (metadata.deletionTimestamp = '2026-01-01T00:00:00Z'))
  const met: string[] = []
  recycled.fault = (what) => {
    met.push(what)
    if (what === point && met.filter((one) => one === point).length === 1) throw new Error('killed')
  }
  for (let i = 0; i < 6; i++) await round(1).catch(() => undefined)
  expect(met).toContain(point)
  expect([world.vm.stored, world.disk?.stored, world.agent.disks.size]).toEqual([undefined, undefined, 1])
  const entries = [...recycled.entries.values()]
  expect(entries.map(({ spec, status }) => [spec.resource.kind, spec.contents?.disks?.length, status?.phase])).toEqual([
    ['VirtualMachine', 1, 'Binned'],
  ])
})

function required<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('it is not there')
  return value
}
