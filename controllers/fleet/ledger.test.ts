import { describe, expect, test } from 'vitest'
import type { Disk } from '../../crds/disk.ts'
import { binnedDisk, dataStorage, disk, entry, machine, newDisk, uidOf } from '../../crds/testing/objects.ts'
import { MACHINE_ID_LABEL, type VirtualMachine } from '../../crds/virtual-machine.ts'
import { seededRandom } from '../../lib/queue/testing.ts'
import { storageObjection } from '../../policy/placement.ts'
import { toBytes } from '../../policy/quantity.ts'
import { newCandidates } from './candidates.ts'
import { newLedger } from './ledger.ts'
import { fakeFleet } from './testing.ts'

const GI = 2 ** 30

describe('Ledger', () => {
  test('counts a machine on the host that its status names', () => {
    const ledger = newLedger()
    const web = { ...machine(), status: { host: 'a' } }
    ledger.machineChanged(undefined, web)
    expect(ledger.hostUse('a')).toEqual({ cpus: 2, memoryBytes: 4 * GI })
    ledger.machineChanged(web, { ...web, spec: { ...web.spec, cpus: 5, memory: '1Gi' } })
    expect(ledger.hostUse('a')).toEqual({ cpus: 5, memoryBytes: GI })
    ledger.machineChanged(web, undefined)
    expect(ledger.hostUse('a')).toEqual({ cpus: 0, memoryBytes: 0 })
    expect(ledger.hostUse('b')).toEqual({ cpus: 0, memoryBytes: 0 })
  })

  test('takes what a status says of memory for nothing when it says none', () => {
    const ledger = newLedger()
    ledger.machineChanged(undefined, { ...machine(), status: { host: 'a', allocated: { cpus: 2, memory: 'garbage' } } })
    expect(ledger.hostUse('a')).toEqual({ cpus: 2, memoryBytes: 4 * GI })
  })

  test('counts a placement from the moment it is chosen, once', () => {
    const ledger = newLedger()
    ledger.reserve(machine(), 'a', { machineId: 'm-1', dataStorage: 'local', sizeBytes: 2 * GI })
    ledger.machineChanged(machine(), machine({ cpus: 2 })) // Its labels, or some such.
    expect([ledger.hostUse('a').cpus, ledger.storageUse('local')]).toEqual([2, 2 * GI])
    ledger.machineChanged(machine(), { ...machine(), status: { host: 'a', machineId: 'm-1' } })
    expect([ledger.hostUse('a').cpus, ledger.storageUse('local')]).toEqual([2, 2 * GI])
    ledger.diskChanged(undefined, rootDisk('m-1'))
    expect(ledger.storageUse('local')).toBe(2 * GI)
  })

  test.each<[string, (ledger: ReturnType<typeof newLedger>) => void]>([
    ['it is released', (ledger) => ledger.release(machine())],
    ['its machine goes unplaced', (ledger) => ledger.machineChanged(machine(), undefined)],
    [
      'its machine goes placed',
      (ledger) => ledger.machineChanged({ ...machine(), status: { host: 'a', machineId: 'm-1' } }, undefined),
    ],
    [
      'another one replaces it, under a new identity',
      (ledger) => {
        ledger.reserve(machine(), 'b', { machineId: 'm-2', dataStorage: 'other', sizeBytes: GI })
      },
    ],
  ])('no longer counts a placement when %s', (_name, end) => {
    const ledger = newLedger()
    ledger.reserve(machine(), 'a', { machineId: 'm-1', dataStorage: 'local', sizeBytes: 2 * GI })
    end(ledger)
    expect([ledger.hostUse('a').cpus, ledger.hostUse('a').memoryBytes, ledger.storageUse('local')]).toEqual([0, 0, 0])
  })

  test('counts a disk where it is; where it was only asked for, it takes no room yet', () => {
    const ledger = newLedger()
    const asked = newDisk({ dataStorage: 'local' })
    ledger.diskChanged(undefined, asked)
    expect(ledger.storageUse('local')).toBe(0)
    const placed = { ...asked, status: { dataStorage: 'local' } }
    ledger.diskChanged(asked, placed)
    expect(ledger.storageUse('local')).toBe(GI)
    ledger.diskChanged(placed, { ...placed, spec: { ...placed.spec, size: '3Gi' } })
    expect(ledger.storageUse('local')).toBe(3 * GI)
    ledger.diskChanged(placed, undefined)
    expect(ledger.storageUse('local')).toBe(0)
  })

  test('[DEL-06] counts a disk that is deleted as before, and leaves as much room, until it is destroyed', () => {
    const ledger = newLedger()
    const data = disk('data', { size: '3Gi' })
    const figures = () => [ledger.storageUse('local'), roomIn(ledger)]
    ledger.diskChanged(undefined, data)
    const before = [3 * GI, 'DataStorage local has room for 197Gi of disks, 200Gi are asked']
    expect(figures()).toEqual(before)
    const { spec, status: _, ...rest } = entry('Disk', 'data')
    const contents = { manifest: {}, disks: [binnedDisk('data', { size: '3Gi' })] }
    const pending = { ...rest, spec: { resource: spec.resource, deletion: spec.deletion, lastSeen: contents } }
    ledger.entryChanged(undefined, pending)
    expect(figures()).toEqual(before)
    const binned = { ...pending, spec: { ...spec, contents } }
    ledger.entryChanged(pending, binned)
    ledger.diskChanged(data, undefined)
    expect(figures()).toEqual(before)
    const purging = { ...binned, status: { phase: 'Purging' as const } }
    ledger.entryChanged(binned, purging)
    expect(figures()).toEqual(before)
    ledger.entryChanged(purging, undefined)
    expect(figures()).toEqual([0, undefined])
  })

  test('[DEL-06] counts a disk that is brought back, and a machine with its disk that is not, once', () => {
    const ledger = newLedger()
    const one = entry('Disk', 'data', { disks: [binnedDisk('data')] })
    const disks = [binnedDisk('web-root', { size: '2Gi' }), binnedDisk('old', { dataStorage: 'other' })]
    ledger.entryChanged(undefined, one)
    ledger.entryChanged(undefined, entry('VirtualMachine', 'web', { disks }))
    expect([ledger.storageUse('local'), ledger.storageUse('other')]).toEqual([3 * GI, GI])
    ledger.diskChanged(undefined, disk('data'))
    ledger.entryChanged(one, undefined)
    expect([ledger.storageUse('local'), ledger.storageUse('other')]).toEqual([3 * GI, GI])
  })

  test.each([1, 2, 3, 20260101])('has the sums that a count of everything has (seed %d)', (seed) => {
    const random = seededRandom(seed)
    const pick = <T>(...items: readonly T[]) => items[Math.floor(random() * items.length)] as T
    const ledger = newLedger()
    const machines = new Map<string, VirtualMachine>()
    const disks = new Map<string, Disk>()
    for (let step = 0; step < 2_000; step++) {
      const name = pick('v', 'w', 'x', 'y', 'z')
      const goes = random() < 0.3
      if (random() < 0.5) change(machines, name, goes ? undefined : someMachine(name, pick), ledger.machineChanged)
      else change(disks, name, goes ? undefined : someDisk(name, pick), ledger.diskChanged)
      // One that is chosen but never stored leaves nothing behind.
      const vm = someMachine('elsewhere', pick)
      ledger.reserve(vm, pick('a', 'b'), { machineId: String(step), dataStorage: pick('s', 't'), sizeBytes: GI })
      ledger.release(vm)
      expect(['a', 'b'].map(ledger.hostUse)).toEqual(['a', 'b'].map((host) => countHost(machines, host)))
      expect(['s', 't'].map(ledger.storageUse)).toEqual(['s', 't'].map((storage) => countStorage(disks, storage)))
    }
  })
})

/** Why no disk fits that would take all of a storage. */
function roomIn(ledger: ReturnType<typeof newLedger>): string | undefined {
  const local = dataStorage({ capacity: '100Gi' })
  const sources = { fleet: fakeFleet(), ledger, hosts: () => [], storages: () => [local], settings: () => undefined }
  const candidates = newCandidates({ ...sources, storage: () => local })
  const storage = candidates.storage('local')
  return storage && storageObjection(storage, 200 * GI, candidates.settings())
}

function change<T extends { status?: unknown }>(
  all: Map<string, T>,
  name: string,
  next: T | undefined,
  tell: (before: T | undefined, after: T | undefined) => void,
): void {
  const before = all.get(name)
  // What is placed stays where it is.
  const after = next && { ...next, status: before?.status ?? next.status }
  tell(before, after)
  if (after) all.set(name, after)
  else all.delete(name)
}

type Pick = <T>(...items: readonly T[]) => T

function someMachine(name: string, pick: Pick): VirtualMachine {
  const host = pick(undefined, 'a', 'b')
  const vm = machine({ cpus: pick(1, 2, 8), memory: pick('1Gi', '512Mi') }, { name, uid: uidOf(name) })
  return host === undefined ? vm : { ...vm, status: { host } }
}

function someDisk(name: string, pick: Pick): Disk {
  const storage = pick(undefined, 's', 't')
  const { status: _, ...made } = disk(name)
  return {
    ...made,
    spec: { size: pick('1Gi', '7Gi'), dataStorage: pick('s', 't') },
    ...(storage !== undefined && { status: { dataStorage: storage } }),
  }
}

function rootDisk(machineId: string): Disk {
  return newDisk({ dataStorage: 'local', size: '2Gi' }, { name: 'web-root', labels: { [MACHINE_ID_LABEL]: machineId } })
}

function countHost(machines: ReadonlyMap<string, VirtualMachine>, host: string) {
  const placed = [...machines.values()].filter(({ status }) => status?.host === host)
  return {
    cpus: placed.reduce((sum, { spec }) => sum + spec.cpus, 0),
    memoryBytes: placed.reduce((sum, { spec }) => sum + toBytes(spec.memory), 0),
  }
}

function countStorage(disks: ReadonlyMap<string, Disk>, storage: string): number {
  const there = [...disks.values()].filter(({ status }) => status?.dataStorage === storage)
  return there.reduce((sum, { spec }) => sum + toBytes(spec.size), 0)
}
