import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { systemClock } from '../clock.ts'
import { silentLog } from '../log.ts'
import { Kube } from './client.ts'
import type { Leadership } from './leadership.ts'
import { runElector } from './lease.ts'
import { leaseStore } from './lease-store.ts'

// As the controllers, with what they may do and no more.
let kube: Kube
beforeAll(async () => {
  kube = await Kube.connect(inject('controllersKubeconfig'))
})
afterAll(() => kube[Symbol.asyncDispose]())

const lease = { namespace: 'holdfast-system', name: 'holdfast-controllers' }
const timing = { durationMs: 4_000, renewDeadlineMs: 2_500, retryMs: 300 }

/** A candidate whose way to the server can be cut. */
function stand(identity: string) {
  const abort = new AbortController()
  const leaderships: Leadership[] = []
  let isCut = false
  const send: Kube['send'] = async (call) => {
    if (isCut) throw new Error('cut')
    return kube.send(call)
  }
  const running = runElector(
    { kube: { send }, lease, identity, clock: systemClock, log: silentLog, signal: abort.signal, timing },
    async (leadership) => {
      leaderships.push(leadership)
      while (!leadership.signal.aborted) await sleep(20)
    },
  )
  return {
    leaderships,
    leads: () => (leaderships.at(-1)?.leftMs() ?? 0) > 0,
    cut: (now: boolean) => void (isCut = now),
    async [Symbol.asyncDispose]() {
      abort.abort()
      await running
    },
  }
}

async function until(isTrue: () => boolean, what: string, ms = 30_000): Promise<number> {
  const start = performance.now()
  while (!isTrue()) {
    if (performance.now() - start > ms) throw new Error(`not within ${ms} ms: ${what}`)
    await sleep(20)
  }
  return performance.now() - start
}

test('of two electors one leads on the API server, and the other one when it is stopped or cut off', async () => {
  const store = leaseStore(kube, lease, 10_000)
  await using second = stand('b')
  {
    await using first = stand('a')
    await until(() => first.leads() || second.leads(), 'one of them leads')
    const [leader, other] = first.leads() ? [first, second] : [second, first]
    const { term } = (await store.read()) ?? {}
    expect(leader.leaderships.map((leadership) => leadership.term)).toEqual([term])
    await sleep(6_000)
    expect([leader.leads(), leader.leaderships.length, other.leaderships.length]).toEqual([true, 1, 0])

    leader.cut(true)
    await until(() => !leader.leads(), 'the one that is cut off gives up')
    expect(other.leads()).toBe(false)
    await until(() => other.leads(), 'the other one leads')
    leader.cut(false)
    expect(other.leaderships.at(-1)?.term).toBe((term ?? 0) + 1)

    const raised = other.leaderships.at(-1)
    raised?.outbid(1_000)
    await until(() => raised?.term === 1_001, 'its term is raised')
    expect(await store.read()).toMatchObject({ term: 1_001 })
  }
  await until(() => second.leads(), 'the one that is left leads')
  expect(second.leaderships.at(-1)?.term).toBeGreaterThanOrEqual(1_001)
})

test('a lease that is released names nobody, and keeps its term', async () => {
  const store = leaseStore(kube, lease, 10_000)
  {
    await using only = stand('c')
    await until(() => only.leads(), 'it leads')
    expect(await store.read()).toMatchObject({ holder: 'c' })
  }
  const left = await store.read()
  expect(left?.holder).toBeUndefined()
  await using next = stand('d')
  await until(() => next.leads(), 'the next one leads at once', 3_000)
  expect(next.leaderships[0]?.term).toBe((left?.term ?? 0) + 1)
})
