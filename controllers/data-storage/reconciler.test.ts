import { describe, expect, test } from 'vitest'
import type { AgentErrorCode, ObservedStorage } from '../../agent/contract.ts'
import { AgentError } from '../../agent/errors.ts'
import type { DataStorage } from '../../crds/data-storage.ts'
import { dataStorage } from '../../crds/testing/objects.ts'
import { FakeStore } from '../fleet/fake-store.ts'
import { fakeFleet, fakeHost, type FakeHost } from '../fleet/testing.ts'
import { dataStorageReconciler } from './reconciler.ts'

const GI = 2 ** 30

function newWorld() {
  const { status: _, ...storage } = dataStorage()
  const host = fakeHost('host-a')
  const hosts: FakeHost[] = [host]
  return {
    store: new FakeStore<DataStorage>(storage),
    host,
    hosts,
    reconciler: dataStorageReconciler({ fleet: fleetOf(hosts) }),
  }
}

/** Of the hosts that are there when it is asked. */
function fleetOf(hosts: FakeHost[]) {
  return { ...fakeFleet(), get: (name: string) => hosts.find((host) => host.name === name) }
}

describe('DataStorage', () => {
  test('is usable when its host says so, is looked at again, and then writes nothing', async () => {
    const { store, reconciler } = newWorld()
    const { retryAfterMs } = await store.reconcile(reconciler)
    expect(retryAfterMs).toBe(30_000)
    expect(store.condition('Usable')).toMatchObject({ status: 'True' })
    expect(store.stored?.status).toMatchObject({ capacity: '100Gi', available: '90Gi' })
    await store.reconcile(reconciler, 3)
    expect([store.writes, store.events]).toEqual([1, ['Normal Ready']])
  })

  test('writes its space only when it moves by something worth knowing', async () => {
    const { store, host, reconciler } = newWorld()
    await store.reconcile(reconciler)
    host.storage = { capacityBytes: 100 * GI - 7, availableBytes: 87 * GI }
    await store.reconcile(reconciler)
    expect(store.writes).toBe(1)
    host.storage = { capacityBytes: 100 * GI, availableBytes: 85 * GI - 1 }
    await store.reconcile(reconciler)
    expect(store.stored?.status?.available).toBe('87039Mi')
    host.storage = { capacityBytes: 200 * GI, availableBytes: 185 * GI }
    await store.reconcile(reconciler)
    expect(store.stored?.status).toMatchObject({ capacity: '200Gi', available: '185Gi' })
    expect(store.writes).toBe(3)
  })

  test('mends a status that does not say how large it is', async () => {
    const { store, reconciler } = newWorld()
    await store.reconcile(reconciler)
    store.change(({ status }) => void Object.assign(status ?? {}, { capacity: 'garbage', available: '-1Zi' }))
    await store.reconcile(reconciler)
    expect(store.condition('Ready')).toMatchObject({ status: 'True' })
    expect(store.stored?.status).toMatchObject({ capacity: '100Gi', available: '90Gi' })
  })

  test.each<[NonNullable<ObservedStorage['problem']>['code'], number]>([
    ['PathMissing', 0],
    ['NotADirectory', 0],
    ['NotWritable', 100 * GI],
    ['NotOurs', 100 * GI],
    ['Full', 100 * GI],
  ])('says what is wrong with its folder: %s; and is usable when that is mended', async (code, capacityBytes) => {
    const { store, host, reconciler } = newWorld()
    await store.reconcile(reconciler)
    const { storage } = host
    host.storage = { capacityBytes, availableBytes: 0, problem: { code, message: 'what to do' } }
    const { retryAfterMs } = await store.settle(reconciler)
    expect(retryAfterMs).toBe(5_000)
    expect(store.condition('Ready')).toMatchObject({ status: 'False', reason: code, message: 'what to do' })
    expect(store.stored?.status?.capacity).toBe('100Gi')
    expect(store.events).toEqual(['Normal Ready', `Normal ${code}`])
    host.storage = storage
    await store.reconcile(reconciler)
    expect(store.condition('Ready')).toMatchObject({ status: 'True' })
  })

  test.each<[AgentErrorCode, string, string]>([
    ['UNREACHABLE', 'Unknown', 'HostUnreachable'],
    ['INTERNAL', 'False', 'HostRefused'],
    ['STORAGE_UNAVAILABLE', 'False', 'HostRefused'],
  ])('shows a host that answers %s', async (code, status, reason) => {
    const { store, host, reconciler } = newWorld()
    host.fault = new AgentError(code, 'what the host says')
    const { retryAfterMs } = await store.settle(reconciler)
    expect(store.condition('Ready')).toMatchObject({ status, reason })
    expect(retryAfterMs).toBe(5_000)
  })

  test('is unknown while its host is not connected, and what was known of it stays', async () => {
    const { store, host, reconciler } = newWorld()
    await store.reconcile(reconciler)
    host.state = 'Unreachable'
    await store.settle(reconciler)
    expect(store.condition('Ready')).toMatchObject({ status: 'Unknown', reason: 'HostUnreachable' })
    expect(store.stored?.status).toMatchObject({ capacity: '100Gi', available: '90Gi' })
  })

  test('is blocked without its Host, with one warning, until that is created', async () => {
    const { store, host, hosts, reconciler } = newWorld()
    hosts.pop()
    await store.settle(reconciler)
    expect(store.condition('Ready')).toMatchObject({
      reason: 'HostNotFound',
      message: 'There is no Host host-a: create it',
    })
    await store.reconcile(reconciler, 3)
    expect([store.writes, store.events]).toEqual([1, ['Warning HostNotFound']])
    hosts.push(host)
    await store.reconcile(reconciler)
    expect(store.condition('Ready')).toMatchObject({ status: 'True' })
  })
})
