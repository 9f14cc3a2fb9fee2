import { expect, test } from 'vitest'
import { silentLog } from '../log.ts'
import { FakeClock, settle } from '../queue/testing.ts'
import { runElector } from './lease.ts'
import { FakeLeases } from './testing-lease.ts'

test('Candidate waits for nobody longer than a minute, whatever the lease says', async () => {
  const clock = new FakeClock()
  const leases = new FakeLeases(clock)
  leases.put({ holderIdentity: 'nobody', leaseTransitions: 3, leaseDurationSeconds: 2 ** 31 - 1 })
  const stop = new AbortController()
  const { send } = leases.client()
  const lease = { namespace: 'holdfast-system', name: 'leader' }
  const running = runElector({ kube: { send }, lease, identity: 'a', clock, log: silentLog, signal: stop.signal }, () =>
    Promise.resolve(),
  )
  await clock.advance(55_000)
  expect([leases.holder, leases.term]).toEqual(['nobody', 3])
  await clock.advance(10_000)
  expect(leases.term).toBeGreaterThan(3)
  stop.abort()
  await settle()
  await clock.advance(20_000)
  await running
})
