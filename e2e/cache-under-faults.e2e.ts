import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { VirtualMachine } from '../crds/virtual-machine.ts'
import { systemClock } from '../lib/clock.ts'
import { ObjectCache } from '../lib/kube/cache.ts'
import { Kube } from '../lib/kube/client.ts'
import { collectionPath, objectPath } from '../lib/kube/paths.ts'
import { runReflector } from '../lib/kube/reflector.ts'
import { silentLog } from '../lib/log.ts'
import { seededRandom } from '../lib/queue/testing.ts'
import { apiFaults, Relay, type ApiFault, type Way } from './testing/api-faults.ts'
import { machine } from './testing/manifests.ts'
import { newPlatform, type Platform } from './testing/platform.ts'
import { proxiedKubeconfig, proxyToApi } from './testing/proxies.ts'

const SEED = Number(process.env['HOLDFAST_SEED'] ?? 1)
const PLAY_MS = 5_000
const EQUAL_WITHIN_MS = 5_000
/** As the controllers have them, but in proportion to a fault of 5 s: events that are lost, and a stream that is silent. */
const RELIST_MS = 3_000
const STALL_MS = 3_000
const NAMES = 10

/** One who follows the API through a fault. */
interface Follower {
  readonly fault: ApiFault
  readonly way: Way
  readonly cache: ObjectCache<VirtualMachine, never>
  /** Changes that do not begin where the one before ended, and states that are older than one before. */
  readonly gaps: string[]
}

describe(`A cache of what the API server holds (HOLDFAST_SEED=${SEED})`, () => {
  const stack = new AsyncDisposableStack()
  const followers: Follower[] = []
  const equalAfterMs = new Map<string, number>()
  let synced: boolean[] = []

  beforeAll(async () => {
    const platform = stack.use(await newPlatform())
    const started = await platform.start('--simulated-hosts', '1')
    if (started.code !== 0) throw new Error(started.stdout)
    const kube = stack.use(await Kube.connect(platform.kubeconfig))
    for (const fault of apiFaults) followers.push(await follow(platform, fault, stack))
    await Promise.all(followers.map(({ cache }) => cache.synced))

    const ends = followers.map(({ fault, way }) => fault.begin(way))
    await changeAWhile(kube)
    for (const end of ends) end?.()
    for (const { way } of followers) way.proxy.reset()
    const endedAt = performance.now()
    await Promise.all(
      followers.map(async ({ fault, cache }) => {
        while (versions(cache.list()) !== versions(await list(kube)) && performance.now() - endedAt < 60_000)
          await sleep(50)
        equalAfterMs.set(fault.name, Math.round(performance.now() - endedAt))
      }),
    )
    synced = followers.map(({ cache }) => cache.isSynced)
    process.stdout.write(`ms until equal: ${JSON.stringify(Object.fromEntries(equalAfterMs))}\n`)
  }, 300_000)
  afterAll(async () => stack.disposeAsync(), 120_000)

  test.each(apiFaults)('equals a fresh list within 5 s after: $name', ({ name }) => {
    expect(equalAfterMs.get(name)).toBeLessThan(EQUAL_WITHIN_MS)
  })

  test.each(apiFaults)('tells of every change once and in order during: $name', ({ name }) => {
    expect(followers.find(({ fault }) => fault.name === name)?.gaps).toEqual([])
  })

  test('is complete after each of them', () => {
    expect(synced).toEqual(apiFaults.map(() => true))
  })
})

async function follow(platform: Platform, fault: ApiFault, stack: AsyncDisposableStack): Promise<Follower> {
  const proxy = stack.use(await proxyToApi(platform))
  const relay = stack.use(await Relay.start(proxy.port))
  const kube = stack.use(await Kube.connect(await proxiedKubeconfig(platform, relay.port)))
  const cache = new ObjectCache<VirtualMachine, never>({})
  const gaps = watchForGaps(cache)
  const abort = new AbortController()
  const options = { kind: VirtualMachine, cache, log: silentLog, clock: systemClock, relistMs: RELIST_MS }
  const following = runReflector({ ...options, kube, signal: abort.signal, stallMs: STALL_MS })
  stack.defer(async () => {
    abort.abort()
    await following
  })
  return { fault, way: { proxy, relay }, cache, gaps }
}

function watchForGaps(cache: ObjectCache<VirtualMachine, never>): string[] {
  const gaps: string[] = []
  /** The version told last, by uid; none once it is gone. */
  const told = new Map<string, string | undefined>()
  cache.onChange((before, after) => {
    const { uid, name } = (after ?? before)?.metadata ?? { uid: '', name: '' }
    const [was, is] = [before?.metadata.resourceVersion, after?.metadata.resourceVersion]
    const isBack = told.has(uid) && told.get(uid) === undefined
    if (isBack) gaps.push(`${name}: came back from the dead`)
    if (told.get(uid) !== was) gaps.push(`${name}: from ${String(was)} after ${String(told.get(uid))}`)
    if (isOlder(is, was)) gaps.push(`${name}: back to ${String(is)} from ${String(was)}`)
    told.set(uid, is)
  })
  return gaps
}

function isOlder(version = 'Infinity', than = '0'): boolean {
  return Number(version) <= Number(than)
}

/** Creates, changes, deletes, and makes anew under the same name; the controllers add their own writes. */
async function changeAWhile(kube: Kube): Promise<void> {
  const random = seededRandom(SEED)
  const until = performance.now() + PLAY_MS
  while (performance.now() < until) {
    const name = `vm-${Math.floor(random() * NAMES)}`
    const path = objectPath(VirtualMachine, { namespace: 'default', name })
    const spec = { runStrategy: random() < 0.5 ? 'Always' : 'Halted', terminationGracePeriodSeconds: 0 }
    const query = { fieldManager: 'test', force: true }
    // A change of one that is being deleted may be refused.
    await (
      random() < 0.3
        ? kube.send({ method: 'DELETE', path })
        : kube.send({
            method: 'PATCH',
            path,
            contentType: 'application/apply-patch+yaml',
            query,
            body: machine(name, spec),
          })
    ).catch(() => undefined)
    await sleep(random() * 60)
  }
}

async function list(kube: Kube): Promise<VirtualMachine[]> {
  const { body } = await kube.send<{ items: VirtualMachine[] }>({ method: 'GET', path: collectionPath(VirtualMachine) })
  return body.items
}

function versions(objects: readonly VirtualMachine[]): string {
  return objects
    .map(({ metadata: { uid, resourceVersion } }) => `${uid}@${resourceVersion}`)
    .toSorted()
    .join()
}
