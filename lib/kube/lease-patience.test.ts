import { once } from 'node:events'
import { expect, test } from 'vitest'
import { silentLog } from '../log.ts'
import { FakeClock } from '../queue/testing.ts'
import { runElector } from './lease.ts'
import { FakeLeases } from './testing-lease.ts'

test('Candidate waits for nobody longer than a minute, whatever the lease says', async () => {
  const clock = new FakeClock()
  const leases = new FakeLeases(clock)
  leases.put({ holderIdentity: 'nobody', leaseTransitions: 3, leaseDurationSeconds: 2 ** 31 - 1 })
  const stop = new AbortController()
  const { send } = leases.client()
  const lease = { namespace: 'holdfast-system', name: 'leader' }
  const candidate = { kube: { send }, lease, identity: 'a', clock, log: silentLog, signal: stop.signal }
  const running = runElector(candidate, async ({ signal }) => void (await once(signal, 'abort')))
  await clock.advance(55_000)
  expect([leases.holder, leases.term]).toEqual(['nobody', 3])
  await clock.advance(10_000)
  expect([leases.holder, leases.term]).toEqual(['a', 4])
  stop.abort()
  await clock.advance(20_000)
  await running
})
