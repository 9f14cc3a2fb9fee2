import { describe, expect, test } from 'vitest'
import type { DataStorage } from '../../crds/data-storage.ts'
import { condition, dataStorage, disk, host, machine, platformSettings } from '../../crds/testing/objects.ts'
import { newCandidates } from './candidates.ts'
import { newLedger } from './ledger.ts'
import { fakeFleet, fakeHost, observedHost } from './testing.ts'

const GI = 2 ** 30

function newWorld() {
  const member = fakeHost('host-a')
  const ledger = newLedger()
  const storages = new Map<string, DataStorage>([['local', dataStorage({ available: '90Gi' })]])
  const hosts = [host('host-a', { rack: '1' }), host('host-b')]
  const world = { member, ledger, storages, settings: undefined as ReturnType<typeof platformSettings> | undefined }
  const candidates = newCandidates({
    fleet: fakeFleet(member),
    ledger,
    hosts: () => hosts,
    storages: () => storages.values(),
    storage: (name) => storages.get(name),
    settings: () => world.settings,
  })
  return { world, candidates, hosts }
}

describe('Candidates', () => {
  test('are fuller by the guests that no VirtualMachine stands for', () => {
    const { world, candidates, hosts } = newWorld()
    world.ledger.machineChanged(undefined, { ...machine(), status: { host: 'host-a' } })
    const orphan = { name: 'shop/lost', machineId: 'id', state: 'Running', since: '2026-01-01T00:00:00Z' } as const
    const [first] = hosts
    if (first) first.status = { ...first.status, orphans: [{ ...orphan, cpus: 3, memory: '12Gi' }, orphan] }
    expect(candidates.hosts()[0]).toMatchObject({ placed: { cpus: 5, memoryBytes: 16 * GI } })
  })

  test('are hosts with what their agent says and what is placed on them', () => {
    const { world, candidates } = newWorld()
    world.ledger.machineChanged(undefined, { ...machine(), status: { host: 'host-a' } })
    expect(candidates.hosts()).toEqual([
      {
        name: 'host-a',
        labels: { rack: '1' },
        cpus: 8,
        memoryBytes: 32 * GI,
        placed: { cpus: 2, memoryBytes: 4 * GI },
      },
      {
        name: 'host-b',
        labels: {},
        obstacle: 'does not answer',
        cpus: 0,
        memoryBytes: 0,
        placed: { cpus: 0, memoryBytes: 0 },
      },
    ])
  })

  test.each([
    [{ state: 'Unreachable' }, 'does not answer'],
    [{ state: 'Unreachable', obstacle: 'NotThisHost' }, 'cannot be talked to (NotThisHost)'],
    [{ state: 'Connecting' }, 'does not answer'],
    [{ state: 'Refused', refusal: { reason: 'NotThisHost', message: 'x' } }, 'is refused (NotThisHost)'],
    [
      { observed: { ...observedHost('host-a'), problem: { code: 'QemuMissing', message: 'install QEMU' } } },
      'cannot run machines (QemuMissing: install QEMU)',
    ],
    [{ refusal: { reason: 'NotThisHost', message: 'of an hour ago' } }, undefined],
  ])('take no machines on a host with %j: %s', (changes, obstacle) => {
    const { world, candidates } = newWorld()
    Object.assign(world.member, changes)
    expect(candidates.hosts()[0]?.obstacle).toBe(obstacle)
  })

  test('are storages with their space and the disks on them', () => {
    const { world, candidates } = newWorld()
    world.ledger.diskChanged(undefined, disk('data'))
    const local = {
      name: 'local',
      host: 'host-a',
      capacityBytes: 100 * GI,
      availableBytes: 90 * GI,
      provisionedBytes: GI,
    }
    expect(candidates.storages()).toEqual([local])
    expect(candidates.storage('local')).toEqual(local)
    expect(candidates.storage('elsewhere')).toBeUndefined()
  })

  test.each([
    [[], 'was not looked at yet'],
    [[condition({ type: 'Usable', status: 'False', reason: 'Full' })], 'is not usable (Full)'],
    [[condition({ type: 'Usable', status: 'Unknown', reason: 'HostUnreachable' })], 'is not usable (HostUnreachable)'],
  ])('take no disks on a storage with %j: %s', (conditions, obstacle) => {
    const { world, candidates } = newWorld()
    world.storages.set('local', dataStorage({ conditions }))
    expect(candidates.storage('local')).toMatchObject({ obstacle, availableBytes: 0 })
  })

  test.each(['garbage', '1e400', '-1Zi', ''])('take no disks on a storage whose capacity reads %j', (capacity) => {
    const { world, candidates } = newWorld()
    world.storages.set('local', dataStorage({ capacity, available: capacity }))
    expect(candidates.storages()).toMatchObject([{ obstacle: 'has no known capacity', capacityBytes: 0 }])
  })

  test('follow the settings, and the defaults where there are none', () => {
    const { world, candidates } = newWorld()
    expect(candidates.settings()).toMatchObject({ cpuOvercommitPercent: 1000 })
    world.settings = platformSettings({ cpuOvercommitPercent: 100 })
    expect(candidates.settings()).toMatchObject({ cpuOvercommitPercent: 100, storageOvercommitPercent: 200 })
  })
})
