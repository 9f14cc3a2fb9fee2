import { setImmediate as nextTurn } from 'node:timers/promises'
import * as z from 'zod'
import type { Resource } from '../../crds/kind.ts'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { isNewer, type ObjectCache, type Stored } from './cache.ts'
import type { Kube } from './client.ts'
import { isKubeError, KubeError, toKubeError } from './errors.ts'
import { collectionPath, keyOf, type Endpoint } from './paths.ts'

export interface ReflectorOptions<R extends Stored> {
  readonly kube: Pick<Kube, 'send' | 'stream'>
  readonly kind: Endpoint
  /** Which of the kind: in this namespace, with these labels. Without it, all. */
  readonly among?: { readonly namespace: string; readonly labelSelector: string }
  readonly cache: ObjectCache<R>
  readonly log: Log
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Lists anew this often, to find events that were lost on the way. Default ten minutes. */
  readonly relistMs?: number | undefined
  /** Longest silence of a watch. Default 55,000. */
  readonly stallMs?: number
  readonly observer?: ReflectorObserver | undefined
}

/** Is told of what a reflector does, to measure it. Must not throw. */
export interface ReflectorObserver {
  readonly watching: () => void
  /** A list has come to its end. `isAgain`: another one had before. */
  readonly listed: (isAgain: boolean) => void
  /** A list or a watch failed, and is tried again. */
  readonly failed: () => void
}

const RELIST_MS = 600_000
const PAGE = 500
/**
 * How long the server keeps a watch. Where nothing changes it sends no bookmarks: the end is all that shows that the
 * connection still works, and a watch that is silent for longer has stalled.
 */
const WATCH_SECONDS = 45
const STALL_MS = 55_000
/** A watch that ends this soon and says nothing does not work. */
const SHORT_MS = 1_000
const FIRST_RETRY_MS = 250
/** A server that was away is found within these two together. */
const AWAY_RETRY_MS = 1_000
const ANSWER_MS = 2_500
/** For three seconds the server may wait until it knows of the latest write, before it begins a list. */
const LIST_ANSWER_MS = 3_500
/** Whatever a server says while something is wrong with it, it is asked within these again once it is well. */
const MAX_RETRY_MS = 4_000
/** Lists that are older than what was seen come from a server that lags behind, unless that goes on for this long. */
const BELIEVED_AFTER_MS = 30_000

const INITIAL_EVENTS_END = 'k8s.io/initial-events-end'

const bookmark = z.object({
  metadata: z.object({ resourceVersion: z.string(), annotations: z.record(z.string(), z.string()).optional() }),
})
type Bookmark = z.infer<typeof bookmark>['metadata']

const watchEvent = z.discriminatedUnion('type', [
  z.object({ type: z.enum(['ADDED', 'MODIFIED', 'DELETED']), object: z.unknown() }),
  z.object({ type: z.literal('BOOKMARK'), object: bookmark }),
  z.object({ type: z.literal('ERROR'), object: z.unknown() }),
])

const errorStatus = z.object({ code: z.number() })

// Only what the cache depends on. The API server has checked the rest against the kind's schema.
const cacheable = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string().optional(),
    uid: z.string(),
    resourceVersion: z.string().regex(/^\d+$/),
  }),
})

const page = z.object({
  metadata: z.object({ resourceVersion: z.string(), continue: z.string().optional() }),
  items: z.array(z.unknown()),
})

/** Keeps a cache equal to what the API server holds, until the signal is aborted; then it returns. Never throws. */
export async function runReflector<R extends Stored>(options: ReflectorOptions<R>): Promise<void> {
  const { signal } = options
  const reflector = new Reflector(options)
  for (let failures = 0, hadExpired = false; !signal.aborted;) {
    const error = await reflector.step().catch((caught: unknown) => caught)
    // A server that says so is back, however long it was away, and has only to be asked for a list.
    const isFirstExpiry = isKubeError(error, 'Expired') && !hadExpired
    hadExpired = isKubeError(error, 'Expired')
    failures = error === undefined || isFirstExpiry ? 0 : failures + 1
    if (failures > 0) await backOff(options, error, failures)
  }
}

type Waiter = Pick<ReflectorOptions<Resource>, 'clock' | 'log' | 'signal' | 'kind' | 'observer'>

async function backOff(waiter: Waiter, error: unknown, failures: number): Promise<void> {
  const { clock, log, signal, kind, observer } = waiter
  if (signal.aborted) return
  observer?.failed()
  const retryInMs = retryDelayMs(error, failures)
  log.warn({ err: error, kind: kind.plural, retryInMs }, 'watch failed')
  await clock.sleep(retryInMs, signal).catch(() => undefined) // Aborted: the caller sees it.
}

function retryDelayMs(error: unknown, failures: number): number {
  const max = isKubeError(error, 'Unreachable', 'Timeout') ? AWAY_RETRY_MS : MAX_RETRY_MS
  const delayMs = Math.min(max, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 16))
  return delayMs * (0.5 + Math.random() / 2)
}

/** A list on its way. */
interface Listing<R> {
  readonly uids: Set<string>
  /** What should have been known. If it is from a server that lags behind, it may be gone by now. */
  readonly doubtful: Map<string, R>
}

const newListing = <R>(): Listing<R> => ({ uids: new Set(), doubtful: new Map() })

class Reflector<R extends Stored> {
  readonly #options: ReflectorOptions<R>
  readonly #path: string
  readonly #chosen: { readonly labelSelector?: string }
  /** Where to resume; none means to list first. */
  #version: string | undefined
  /** The newest version seen, by which to notice that the server's history went back. */
  #latest = '0'
  /** Since when lists are older than that. */
  #backSinceMs: number | undefined
  #relistAt = Infinity
  #wasAway = false
  #offersWatchList = true

  constructor(options: ReflectorOptions<R>) {
    this.#options = options
    const { kind, among } = options
    this.#path = collectionPath(kind, among?.namespace)
    this.#chosen = among ? { labelSelector: among.labelSelector } : {}
  }

  /** One watch, from where the last one ended, or from a list. */
  async step(): Promise<void> {
    const { clock } = this.#options
    if (clock.monotonicMs() >= this.#relistAt) {
      this.#version = undefined
      this.#relistAt = Infinity // Until the list is over, or it would be broken off for being due.
    }
    try {
      if (this.#wasAway && this.#version !== undefined) await this.#checkHistory()
      if (this.#version !== undefined) await this.#watch({ resourceVersion: this.#version })
      else if (this.#offersWatchList) await this.#watchList()
      else await this.#list()
    } catch (error) {
      this.#wasAway = isKubeError(error, 'Unreachable', 'Timeout', 'TooManyRequests')
      // Whatever else went wrong, only a list is sure to mend it.
      if (!this.#wasAway) this.#version = undefined
      throw error
    }
  }

  /** Asked to watch from a version that it has yet to reach, the server says nothing, as when its etcd was restored. */
  async #checkHistory(): Promise<void> {
    const { kube, signal } = this.#options
    const { body } = await kube.send({
      method: 'GET',
      path: this.#path,
      query: { ...this.#chosen, limit: 1 },
      deadlineMs: ANSWER_MS,
      signal,
    })
    this.#wasAway = false
    const { resourceVersion } = page.parse(body).metadata
    if (isNewer(this.#version ?? '0', resourceVersion)) this.#version = undefined
  }

  async #watchList(): Promise<void> {
    try {
      await this.#watch({ sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' }, newListing())
    } catch (error) {
      // After the list these would mean something else.
      if (!isKubeError(error, 'BadRequest', 'Invalid') || this.#version !== undefined) throw error
      this.#offersWatchList = false
      await this.#list()
    }
  }

  /** With a `listing`, a list streams in first. */
  async #watch(query: Readonly<Record<string, string | boolean>>, listing?: Listing<R>): Promise<void> {
    const { kube, clock, signal, stallMs = STALL_MS } = this.#options
    const startedAt = clock.monotonicMs()
    const timeoutSeconds = WATCH_SECONDS - Math.floor(Math.random() * 5) // Not all kinds at once.
    const common = { watch: true, allowWatchBookmarks: true, timeoutSeconds }
    let silent = true
    this.#options.observer?.watching()
    const call = {
      path: this.#path,
      query: { ...this.#chosen, ...common, ...query },
      stallMs,
      answerMs: listing ? LIST_ANSWER_MS : ANSWER_MS,
    }
    for await (const line of kube.stream(call, signal)) {
      silent = false
      this.#take(line, listing)
      if (clock.monotonicMs() >= this.#relistAt) return
    }
    if (this.#version === undefined) throw new KubeError('Unreachable', 'the API server broke off a list')
    if (silent && clock.monotonicMs() - startedAt < SHORT_MS) {
      throw new KubeError('Unreachable', 'the API server ended a watch at once')
    }
  }

  #take(line: unknown, listing: Listing<R> | undefined): void {
    const event = watchEvent.safeParse(line)
    if (!event.success) {
      this.#options.log.warn({ err: event.error, path: this.#path }, 'skipped an event that cannot be read')
      return
    }
    const { type, object } = event.data
    if (type === 'BOOKMARK') this.#bookmark(object.metadata, listing)
    else if (type === 'ERROR') throw toKubeError(errorStatus.safeParse(object).data?.code ?? 500, object)
    else this.#apply(type, object, listing)
  }

  #bookmark({ resourceVersion, annotations }: Bookmark, listing: Listing<R> | undefined): void {
    if (this.#version === undefined) {
      if (listing && annotations?.[INITIAL_EVENTS_END] === 'true') this.#finishList(listing, resourceVersion)
    } else if (isNewer(this.#version, resourceVersion)) {
      this.#relistAt = -Infinity // Either a stray one, or the server's history went back. The list knows.
    } else {
      this.#advance(resourceVersion)
    }
  }

  #advance(version: string): void {
    this.#version = version
    this.#latest = version
  }

  #apply(type: 'ADDED' | 'MODIFIED' | 'DELETED', candidate: unknown, listing?: Listing<R>): void {
    const object = this.#parse(candidate)
    if (!object) return
    const { uid, resourceVersion } = object.metadata
    if (this.#version === undefined) listing?.uids.add(uid)
    else if (isNewer(resourceVersion, this.#version)) this.#advance(resourceVersion)
    if (type === 'DELETED') this.#forget(object, listing)
    else if (this.#version === undefined && this.#isDoubtful(object)) listing?.doubtful.set(uid, object)
    else this.#tell(uid, (cache) => cache.put(object))
  }

  #forget(object: R, listing?: Listing<R>): void {
    const { uid } = object.metadata
    listing?.uids.delete(uid)
    listing?.doubtful.delete(uid)
    this.#tell(uid, (cache) => cache.delete(object))
  }

  /** It is no newer than what was seen, and yet the cache does not have it. */
  #isDoubtful({ metadata }: R): boolean {
    if (isNewer(metadata.resourceVersion, this.#latest)) return false
    return this.#options.cache.get(keyOf(metadata))?.metadata.uid !== metadata.uid
  }

  #tell(uid: string, change: (cache: ObjectCache<R>) => void): void {
    try {
      change(this.#options.cache)
    } catch (err) {
      this.#options.log.error({ err, path: this.#path, uid }, 'an index or a listener failed')
    }
  }

  #parse(candidate: unknown): R | undefined {
    const parsed = cacheable.safeParse(candidate)
    if (!parsed.success) {
      this.#options.log.warn({ err: parsed.error, path: this.#path }, 'skipped an object that cannot be read')
      return undefined
    }
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the API server validated it on the way in
    return candidate as R
  }

  async #list(): Promise<void> {
    const { kube, signal } = this.#options
    const listing = newListing<R>()
    let next = ''
    do {
      const query = { ...this.#chosen, limit: PAGE, ...(next !== '' && { continue: next }) }
      const { body } = await kube.send({ method: 'GET', path: this.#path, query, signal })
      const { metadata, items } = page.parse(body)
      for (const item of items) this.#apply('ADDED', item, listing)
      next = metadata.continue ?? ''
      if (next === '') this.#finishList(listing, metadata.resourceVersion)
      else await nextTurn()
    } while (next !== '')
  }

  #finishList({ uids, doubtful }: Listing<R>, version: string): void {
    const { cache, clock, relistMs = RELIST_MS } = this.#options
    if (isNewer(this.#latest, version)) throw this.#doubt()
    this.#backSinceMs = undefined
    this.#options.observer?.listed(cache.isSynced)
    this.#advance(version)
    this.#relistAt = clock.monotonicMs() + relistMs * (0.9 + Math.random() / 5)
    for (const [uid, object] of doubtful) this.#tell(uid, () => cache.admit(object, version))
    cache.retain(uids, version)
  }

  /** A lagging server catches up; a restored etcd stays where it is. */
  #doubt(): KubeError {
    const { cache, clock } = this.#options
    const nowMs = clock.monotonicMs()
    this.#backSinceMs ??= nowMs
    if (nowMs - this.#backSinceMs < BELIEVED_AFTER_MS) {
      return new KubeError('Unreachable', 'the API server answers with what was before')
    }
    this.#backSinceMs = undefined
    this.#latest = '0'
    cache.distrust()
    return new KubeError('Expired', "the API server's history went back")
  }
}
