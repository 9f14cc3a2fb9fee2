import { describe, expect, test } from 'vitest'
import { observedHost } from '../fleet/testing.ts'
import { World } from './testing.ts'

describe('Host', () => {
  test('shows what its agent says of it, and then writes and asks nothing', async () => {
    const { store, host, reconciler } = new World()
    await store.reconcile(reconciler)
    expect(store.condition('Ready')).toMatchObject({ status: 'True' })
    expect(store.stored?.status).toMatchObject({
      bootId: 'b-1',
      cpus: 8,
      memory: '32Gi',
      accelerator: 'TCG',
      acceleratorReason: 'the CPU offers neither vmx nor svm',
      imageSandbox: 'Bubblewrap',
      qemuVersion: '7.2.0',
      agentVersion: '0.0.0',
    })
    await store.reconcile(reconciler, 3)
    expect([store.writes, store.events, host.asked]).toEqual([1, ['Normal Ready'], 0])
  })

  test('whose connection comes back within a second has no write for that', async () => {
    const { store, host, reconciler } = new World()
    await store.reconcile(reconciler)
    host.state = 'Connecting'
    const { retryAfterMs } = await store.reconcile(reconciler)
    expect(retryAfterMs).toBe(1_000)
    host.state = 'Connected'
    await store.reconcile(reconciler)
    expect(store.writes).toBe(1)
  })

  test('that does not answer is unknown, and what is known of it stays', async () => {
    const { store, host, reconciler } = new World()
    await store.reconcile(reconciler)
    host.state = 'Unreachable'
    await store.settle(reconciler)
    expect(store.condition('Ready')).toMatchObject({
      status: 'Unknown',
      reason: 'HostUnreachable',
      message: 'No agent answers at 127.0.0.1:8444: see that the host is up and its agent runs',
    })
    expect(store.stored?.status).toMatchObject({ cpus: 8, memory: '32Gi' })
    expect(store.events).toEqual(['Normal Ready', 'Normal HostUnreachable'])
  })

  test('says why its agent is refused', async () => {
    const { store, host, reconciler } = new World()
    Object.assign(host, { state: 'Refused', refusal: { reason: 'NotThisHost', message: 'correct spec.address' } })
    await store.settle(reconciler)
    expect(store.condition('Connected')).toMatchObject({
      status: 'False',
      reason: 'NotThisHost',
      message: 'correct spec.address',
    })
    expect(store.condition('HypervisorReady')).toMatchObject({ status: 'Unknown' })
  })

  test('without QEMU is connected but not ready', async () => {
    const { store, host, reconciler } = new World()
    const { qemuVersion: _, ...observed } = observedHost('host-a')
    Object.assign(host, { observed: { ...observed, problem: { code: 'QemuMissing', message: 'install QEMU' } } })
    await store.settle(reconciler)
    expect(store.condition('Connected')).toMatchObject({ status: 'True' })
    expect(store.condition('Ready')).toMatchObject({ status: 'False', reason: 'QemuMissing', message: 'install QEMU' })
    expect(store.stored?.status).not.toHaveProperty('qemuVersion')
    Object.assign(host, { observed: observedHost('host-a') })
    await store.reconcile(reconciler)
    expect(store.condition('Ready')).toMatchObject({ status: 'True' })
  })

  test.each(['StateFull', 'RecordsUnreadable'] as const)(
    'whose agent says %s is not ready until it says so no more',
    async (code) => {
      const { store, host, reconciler } = new World()
      const stateProblem = { code, message: 'free some space' }
      Object.assign(host, { observed: { ...observedHost('host-a'), stateProblem } })
      await store.settle(reconciler)
      expect(store.condition('HypervisorReady')).toMatchObject({ status: 'True' })
      expect(store.condition('StateStored')).toMatchObject({
        status: 'False',
        reason: code,
        message: 'free some space',
      })
      expect(store.condition('Ready')).toMatchObject({ status: 'False', reason: code })
      Object.assign(host, { observed: observedHost('host-a') })
      await store.reconcile(reconciler)
      expect(store.condition('Ready')).toMatchObject({ status: 'True' })
    },
  )

  test('whose agent shows a certificate of another time is unknown, and says what to set right', async () => {
    const { store, host, reconciler } = new World()
    await store.reconcile(reconciler)
    Object.assign(host, { state: 'Unreachable', obstacle: 'CertificateNotValid' })
    await store.settle(reconciler)
    expect(store.condition('Ready')).toMatchObject({ status: 'Unknown', reason: 'CertificateNotValid' })
    expect(store.condition('Ready')?.message).toContain('set the clocks')
  })

  test.each([
    ['NotThisHost', 'has no certificate for host host-a: correct'],
    ['AddressUnusable', 'is not the IP address or DNS name of a host'],
  ])('that cannot be reached because of %s says so', async (obstacle, message) => {
    const { store, host, reconciler } = new World()
    await store.reconcile(reconciler)
    Object.assign(host, { state: 'Unreachable', obstacle })
    await store.settle(reconciler)
    expect(store.condition('Ready')).toMatchObject({
      status: 'Unknown',
      reason: obstacle,
      message: expect.stringContaining(message),
    })
  })

  test('has room in memory that is no whole MiB, rounded down', async () => {
    const { store, host, reconciler } = new World()
    Object.assign(host, { observed: { ...observedHost('host-a'), memoryBytes: 2 ** 30 + 1 } })
    await store.reconcile(reconciler)
    expect(store.stored?.status?.memory).toBe('1Gi')
  })
})
