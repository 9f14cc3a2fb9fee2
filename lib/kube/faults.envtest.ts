import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import type { ObjectMeta } from '../../crds/common.ts'
import { systemClock } from '../clock.ts'
import { silentLog } from '../log.ts'
import { seededRandom } from '../queue/testing.ts'
import { FaultProxy } from '../testing/fault-proxy.ts'
import { faults, lostEvents, play, staleReadsOf, type Fault } from '../testing/faults.ts'
import { newAuthority } from '../tls/authority.ts'
import { isNewer, ObjectCache } from './cache.ts'
import { Kube } from './client.ts'
import { collectionPath } from './paths.ts'
import { runReflector } from './reflector.ts'
import { serveThings, Thing } from './testing.ts'
import { objectWriter } from './writer.ts'

const SEED = Date.now() % 1_000_000
const FAULT_MS = 2_000
const EQUAL_MS = 5_000
/** In place of 55 s. */
const STALL_MS = 1_000
/** In place of ten minutes. */
const RELIST_MS = 1_000
const NAMES = Array.from({ length: 12 }, (_, index) => `a${index}`)

let stack: AsyncDisposableStack
let kube: Kube
let folder: string
let kubeconfig: string

beforeAll(async () => {
  stack = new AsyncDisposableStack()
  folder = await mkdtemp(join(tmpdir(), 'faults-'))
  stack.defer(() => rm(folder, { recursive: true }))
  kubeconfig = await readFile(inject('kubeconfig'), 'utf8')
  kube = stack.use(await Kube.connect(inject('kubeconfig')))
  await serveThings(kube)
})
afterAll(() => stack.disposeAsync())

/** A proxy before the real server, and a client that goes through it. */
async function far(own: AsyncDisposableStack): Promise<{ proxy: FaultProxy; kube: Kube }> {
  const decoded = (field: string) =>
    Buffer.from(new RegExp(`"?${field}"?: *"?([\\w+/=]+)`).exec(kubeconfig)?.[1] ?? '', 'base64').toString()
  const authority = await newAuthority('proxy')
  const proxy = await FaultProxy.start({
    port: Number(/https:\/\/[^"\s]+:(\d+)/.exec(kubeconfig)?.[1]),
    serverName: 'localhost',
    ca: decoded('certificate-authority-data'),
    server: await authority.issue({ commonName: 'proxy', ips: ['127.0.0.1'], usages: ['Server'] }),
    client: { certificate: decoded('client-certificate-data'), key: decoded('client-key-data') },
  })
  own.use(proxy)
  const path = join(folder, `kubeconfig-${proxy.port}`)
  const trusted = Buffer.from(authority.certificate).toString('base64')
  const text = kubeconfig
    .replace(/https:\/\/[^"\s]+:\d+/, `https://127.0.0.1:${proxy.port}`)
    .replace(/("?certificate-authority-data"?: *"?)[\w+/=]+/, `$1${trusted}`)
  await writeFile(path, text, { mode: 0o600 })
  return { proxy, kube: own.use(await Kube.connect(path)) }
}

/** Listens to a cache, and notes what no order of changes could have brought. */
class Witness {
  readonly wrong: string[] = []
  readonly #told = new Map<string, string>()
  readonly #ended = new Set<string>()
  readonly #deleted: ReadonlySet<string>

  constructor(cache: ObjectCache<Thing>, deleted: ReadonlySet<string>) {
    cache.onChange((before, after) => this.#note(before?.metadata, after?.metadata))
    this.#deleted = deleted
  }

  #note(before: ObjectMeta | undefined, after: ObjectMeta | undefined): void {
    const { uid, name } = after ?? before ?? { uid: '', name: '' }
    const [was, is] = [before?.resourceVersion, after?.resourceVersion]
    const told = this.#told.get(uid)
    if (told !== was) this.wrong.push(`gap: ${name} ${uid} was at ${told} and comes from ${was}`)
    if (was !== undefined && is !== undefined && isNewer(was, is)) this.wrong.push(`back: ${name} ${uid} to ${is}`)
    if (is === undefined) this.#end(uid)
    else this.#go(uid, is)
  }

  #end(uid: string): void {
    this.#told.delete(uid)
    this.#ended.add(uid)
  }

  #go(uid: string, version: string): void {
    if (this.#ended.has(uid) && this.#deleted.has(uid)) this.wrong.push(`resurrected: ${uid}`)
    this.#told.set(uid, version)
  }
}

/** Changes objects of a namespace, one after the other: creates, updates, deletes, and deletes and makes again. */
class Writer {
  /** Uids of those that are gone for good. */
  readonly deleted = new Set<string>()
  readonly #namespace: string
  readonly #random: () => number
  readonly #writer = objectWriter(kube, Thing, 'test')
  readonly #uids = new Map<string, string>()

  constructor(namespace: string, random: () => number) {
    this.#namespace = namespace
    this.#random = random
  }

  async change(): Promise<void> {
    const name = NAMES[Math.floor(this.#random() * NAMES.length)] ?? ''
    const dice = this.#random()
    if (dice < 0.45) await this.#delete(name)
    if (dice > 0.25) await this.#apply(name)
  }

  async makeAll(): Promise<void> {
    for (const name of NAMES) await this.#apply(name)
  }

  async #apply(name: string): Promise<void> {
    const metadata = { namespace: this.#namespace, name, labels: { at: String(this.#random()) } }
    const { object } = await this.#writer.apply({ metadata, spec: {} })
    this.#uids.set(name, object.metadata.uid)
  }

  async #delete(name: string): Promise<void> {
    const uid = this.#uids.get(name)
    if (uid === undefined) return
    await this.#writer.delete({ namespace: this.#namespace, name })
    this.#uids.delete(name)
    this.deleted.add(uid)
  }
}

const versions = (objects: readonly Thing[], namespace: string) =>
  objects
    .filter(({ metadata }) => metadata.namespace === namespace)
    .map(({ metadata: { name, uid, resourceVersion } }) => `${name} ${uid} ${resourceVersion}`)
    .toSorted()

interface Outcome {
  /** What the cache has 5 s after the fault, or sooner if it has it all. */
  readonly held: readonly string[]
  readonly fresh: readonly string[]
  readonly wrong: readonly string[]
}

/** Has a cache follow through a fault while all is changed. Soon after, it is equal to a fresh list. */
async function suffer(fault: Fault, relistMs?: number): Promise<Outcome> {
  await using own = new AsyncDisposableStack()
  const namespace = await newNamespace()
  const { proxy, kube: distant } = await far(own)
  const writer = new Writer(namespace, seededRandom(SEED))
  await writer.makeAll()
  const cache = new ObjectCache<Thing>({})
  const witness = new Witness(cache, writer.deleted)
  const abort = new AbortController()
  const running = runReflector({
    kube: distant,
    kind: Thing,
    cache,
    log: silentLog,
    clock: systemClock,
    signal: abort.signal,
    stallMs: STALL_MS,
    ...(relistMs !== undefined && { relistMs }),
  })
  own.defer(async () => {
    abort.abort()
    await running
  })
  await cache.synced

  const playing = { isOver: false }
  const played = play(fault, proxy, FAULT_MS).finally(() => (playing.isOver = true))
  while (!playing.isOver) {
    await writer.change()
    await sleep(15)
  }
  await played
  const endedAt = performance.now()
  const { body } = await kube.send<{ items: Thing[] }>({ method: 'GET', path: collectionPath(Thing, namespace) })
  const fresh = versions(body.items, namespace)
  const isEqual = () => isDeepStrictEqual(versions(cache.list(), namespace), fresh)
  while (!isEqual() && performance.now() - endedAt < EQUAL_MS) await sleep(10)
  process.stdout.write(`${fault.name}: equal after ${Math.round(performance.now() - endedAt)} ms\n`)
  return { held: versions(cache.list(), namespace), fresh, wrong: witness.wrong }
}

async function newNamespace(): Promise<string> {
  const body = { metadata: { generateName: 'faults-' } }
  const made = await kube.send<{ metadata: { name: string } }>({ method: 'POST', path: '/api/v1/namespaces', body })
  return made.body.metadata.name
}

describe(`a cache whose API server is far (seed ${SEED})`, { concurrent: true, timeout: 40_000 }, () => {
  test.each([...faults, staleReadsOf([collectionPath(Thing)])].map((fault) => [fault.name, fault] as const))(
    'equals a fresh list within 5 s after: %s',
    async (_name, fault) => {
      const { held, fresh, wrong } = await suffer(fault)
      expect(held).toEqual(fresh)
      expect(wrong).toEqual([])
    },
  )

  test('finds events that were lost with its next list', async () => {
    const { held, fresh, wrong } = await suffer(lostEvents, RELIST_MS)
    expect(held).toEqual(fresh)
    expect(wrong).toEqual([])
  })

  test('is asked for on a new connection when the old one is a black hole', async () => {
    await using own = new AsyncDisposableStack()
    const { proxy, kube: distant } = await far(own)
    const call = { method: 'GET', path: collectionPath(Thing), query: { limit: 1 } } as const
    // One that has just answered may not be free yet, and the next call opens another one.
    for (let index = 0; index < 3; index++) await distant.send(call)
    proxy.wire.abandon()
    await expect(distant.send({ ...call, deadlineMs: 300 })).rejects.toMatchObject({ code: 'Timeout' })
    const startedAt = performance.now()
    await distant.send({ ...call, deadlineMs: 5_000 })
    expect(performance.now() - startedAt).toBeLessThan(2_000)
  })
})
