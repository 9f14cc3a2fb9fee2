import { describe, expect, test } from 'vitest'
import {
  defaultPlacement,
  place,
  type HostCandidate,
  type PlacementRequest,
  type StorageCandidate,
} from './placement.ts'

const GI = 2 ** 30

const request = (overrides: Partial<PlacementRequest> = {}): PlacementRequest => ({
  cpus: 2,
  memoryBytes: 4 * GI,
  hostSelector: {},
  newDisk: { sizeBytes: 20 * GI },
  ...overrides,
})

const host = (name: string, overrides: Partial<HostCandidate> = {}): HostCandidate => ({
  name,
  labels: {},
  cpus: 8,
  memoryBytes: 32 * GI,
  placed: { cpus: 0, memoryBytes: 0 },
  ...overrides,
})

const storage = (on: string, overrides: Partial<StorageCandidate> = {}): StorageCandidate => ({
  name: `${on}-disks`,
  host: on,
  capacityBytes: 100 * GI,
  availableBytes: 100 * GI,
  provisionedBytes: 0,
  ...overrides,
})

describe('Placement', () => {
  test('takes the host with the most memory left, then the first by name', () => {
    const hosts = [host('c'), host('a', { placed: { cpus: 1, memoryBytes: GI } }), host('b')]
    const storages = ['a', 'b', 'c'].map((name) => storage(name))
    expect(place(request(), hosts, storages, defaultPlacement)).toEqual({
      fits: true,
      host: 'b',
      dataStorage: 'b-disks',
    })
  })

  test('takes the storage with the most room for disks', () => {
    const storages = [storage('a', { name: 'full', provisionedBytes: 190 * GI }), storage('a', { name: 'half' })]
    expect(place(request(), [host('a')], storages, defaultPlacement)).toMatchObject({ dataStorage: 'half' })
  })

  test('needs no storage for a machine whose disks exist', () => {
    const { newDisk: _, ...existing } = request()
    expect(place({ ...existing, reachableFrom: ['a'] }, [host('a')], [], defaultPlacement)).toEqual({
      fits: true,
      host: 'a',
    })
  })

  test.each([
    ['there is none', {}, [], /There is no Host/],
    ['a label is missing', { hostSelector: { disk: 'ssd' } }, [host('a')], /a lacks the label disk=ssd/],
    ['it is away', {}, [host('a', { obstacle: 'does not answer' })], /a does not answer/],
    ['it has fewer CPUs than one machine needs', { cpus: 9 }, [host('a')], /a has 8 CPUs, 9 are asked/],
    [
      'its CPUs are overcommitted',
      {},
      [host('a', { placed: { cpus: 79, memoryBytes: 0 } })],
      /a has room for 1 more virtual CPUs, 2 are asked/,
    ],
    ['its memory is full', { memoryBytes: 32 * GI }, [host('a')], /a has 31Gi of memory left, 32Gi are asked/],
    ['it does not reach the disks', { reachableFrom: ['z'] }, [host('a')], /a does not reach its disks and image/],
    [
      'it has no such storage',
      { newDisk: { sizeBytes: 1, dataStorage: 'a-disks' } },
      [host('b')],
      /b does not reach DataStorage a-disks/,
    ],
    [
      'its storage is full',
      { newDisk: { sizeBytes: 201 * GI } },
      [host('a')],
      /DataStorage a-disks has room for 200Gi of disks, 201Gi are asked/,
    ],
  ])('says of a host why it does not fit: %s', (_name, overrides, hosts, message) => {
    const placement = place(request(overrides), hosts, [storage('a')], defaultPlacement)
    expect(placement).toEqual({ fits: false, message: expect.stringMatching(message) })
  })

  test.each([
    [{ host: 'b' }, 'There is no Host b: correct spec.placement.host, or add it'],
    [{ newDisk: { sizeBytes: 1, dataStorage: 'b' } }, 'There is no DataStorage b: create it, or name another one'],
  ])('says that there is not what it names: %o', (overrides, message) => {
    const placement = place(request(overrides), [host('a')], [storage('a')], defaultPlacement)
    expect(placement).toEqual({ fits: false, message })
  })

  test('names hosts that have no room before those that are away', () => {
    const away = Array.from({ length: 9 }, (_, index) => host(`away-${index}`, { obstacle: 'does not answer' }))
    expect(place(request(), [...away, host('small', { cpus: 1 })], [], defaultPlacement)).toMatchObject({
      message: expect.stringMatching(/^No host fits: small has 1 CPUs, 2 are asked; away-0 does not answer; /),
    })
  })

  test('names five hosts that do not fit, and counts the rest', () => {
    const hosts = Array.from({ length: 50 }, (_, index) => host(`host-${index}`, { cpus: 1 }))
    const placement = place(request(), hosts, [], defaultPlacement)
    expect(placement).toMatchObject({
      message: expect.stringMatching(
        /^No host fits: (host-\d has [^;]+; ){5}and 45 more: ask for less, make room, or add a Host$/,
      ),
    })
  })
})
