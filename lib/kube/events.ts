import { createHash } from 'node:crypto'
import type { Resource } from '../../crds/kind.ts'
import { Budgets } from '../budgets.ts'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Kube } from './client.ts'
import { isKubeError } from './errors.ts'
import { collectionPath } from './paths.ts'
import { NotLeading } from './while-leading.ts'
import { UNCHECKED } from './writer.ts'

/** What happened to an object, as `kubectl describe` shows it. */
export interface ObjectEvent {
  readonly object: Pick<Resource, 'apiVersion' | 'kind'> & { readonly metadata: Pick<Resource['metadata'], Identity> }
  readonly type: 'Normal' | 'Warning'
  /** One word in CamelCase. */
  readonly reason: string
  /** A sentence; what is beyond 1,024 bytes is cut off. */
  readonly message: string
  /** What was being done, as one word in CamelCase. */
  readonly action: string
}
type Identity = 'name' | 'namespace' | 'uid' | 'resourceVersion'

export interface EventRecorder {
  /** Returns at once and never throws: whether an event can be stored must not matter to a reconcile. */
  record(event: ObjectEvent): void
  /** Sends what waits for at most 2 s more, and gives up the rest. The recorder takes nothing more from then on. */
  flush(): Promise<void>
}

export interface RecorderOptions {
  readonly kube: Pick<Kube, 'send'>
  readonly clock: Clock
  readonly log: Log
  /** Name of the controller, such as `holdfast.dev/controllers`. */
  readonly controller: string
  /** Name of this process. */
  readonly instance: string
  readonly observer?: EventObserver | undefined
}

/**
 * Why an event was dropped. `Throttled`: its object had too many, as is meant. `QueueFull`: too many of all objects
 * waited. `NotStored`: the API server did not take it. `NotLeading`: this process no longer leads. `Ending`: it still
 * waited when the recorder had to end.
 */
export type DropReason = 'Throttled' | 'QueueFull' | 'NotStored' | 'NotLeading' | 'Ending'

/** Is told what becomes of events. Must not throw. */
export interface EventObserver {
  dropped(reason: DropReason): void
  /** By how much more events wait to be stored, those that are being sent included. */
  waits(by: 1 | -1): void
}

const EVENTS = { group: 'events.k8s.io', version: 'v1', plural: 'events', scope: 'Namespaced' } as const
/** The API server keeps events for an hour. */
const REPEAT_MS = 3_600_000
const BURST = 10
const REFILL_MS = 60_000
const MAX_NOTE_BYTES = 1024
/** A write that people read later must not delay one that a machine waits for. */
const HOLD_MS = 250
/** Of some thousand machines that are made at once. */
const MAX_WAITING = 10_000
/** Few at a time, for others wait for their writes; more as more wait, for else some would be dropped in the end. */
const SENDING = { least: 4, most: 16, oneMoreFor: 100 }
const MAX_REMEMBERED = 10_000
/** A process that is told to stop is killed 10 s later, and still has its lease to release. */
const FLUSH_MS = 2_000

/**
 * Records events under names that follow from what they say, so that a restarted controller repeats nothing. The same
 * within an hour is dropped, and so is what exceeds ten an object and then one a minute.
 */
export function eventRecorder(options: RecorderOptions): EventRecorder {
  const { clock, log, controller, instance, observer } = options
  const recorded = new Map<string, number>()
  const budgets = new Budgets({ clock, burst: BURST, refillMs: REFILL_MS })
  const outbox = newOutbox(options)

  return {
    record(event) {
      const now = clock.monotonicMs()
      const name = nameOf(event)
      if (now - (recorded.get(name) ?? -Infinity) < REPEAT_MS) return
      const { uid } = event.object.metadata
      if (budgets.waitMs(uid) > 0) {
        observer?.dropped('Throttled')
        log.debug({ event: name }, 'dropped an event, for its object has too many')
        return
      }
      // A cluster-scoped object's events are in this namespace by convention.
      const namespace = event.object.metadata.namespace ?? 'default'
      const body = { metadata: { name, namespace }, ...toEvent(event, clock.now()) }
      const reporter = { reportingController: controller, reportingInstance: instance.slice(0, 128) }
      if (!outbox.put({ path: collectionPath(EVENTS, namespace), body: { ...body, ...reporter } })) return
      budgets.spend(uid)
      remember(recorded, name, now)
    },
    flush: () => outbox.flush(),
  }
}

interface Letter {
  readonly path: string
  readonly body: object
}

/** Sends what is put into it, some at a time and a moment later. */
function newOutbox(options: RecorderOptions) {
  const { clock, log, observer } = options
  const waiting: Letter[] = []
  const sending = new Set<Promise<void>>()
  const ended = new AbortController()
  const send = newSender(options, ended.signal)
  let held: Promise<void> | undefined
  let isEnding = false
  let isOverflowing = false

  const pump = (): void => {
    if (waiting.length === 0) isOverflowing = false
    while (sending.size < lanesFor(waiting.length)) {
      const next = waiting.shift()
      if (!next) return
      const sent = send(next).finally(() => {
        sending.delete(sent)
        observer?.waits(-1)
        pump()
      })
      sending.add(sent)
    }
  }

  const pumpLater = async (): Promise<void> => {
    await clock.sleep(HOLD_MS)
    held = undefined
    pump()
  }

  const refuse = (reason: DropReason): false => {
    observer?.dropped(reason)
    return false
  }

  return {
    /** Whether there was room for it. */
    put(letter: Letter): boolean {
      if (isEnding) return refuse('Ending')
      if (waiting.length >= MAX_WAITING) {
        if (!isOverflowing) log.warn({ waiting: waiting.length }, 'events are dropped, for too many wait to be stored')
        isOverflowing = true
        return refuse('QueueFull')
      }
      waiting.push(letter)
      observer?.waits(1)
      held ??= pumpLater()
      return true
    },

    async flush(): Promise<void> {
      isEnding = true
      pump()
      await atMost(FLUSH_MS, clock, allOf(sending))
      ended.abort()
      giveUp(waiting.splice(0), options)
    },
  }
}

function giveUp(letters: readonly Letter[], { log, observer }: RecorderOptions): void {
  if (letters.length > 0) log.warn({ events: letters.length }, 'events were not recorded, for there was no time left')
  for (const _ of letters) {
    observer?.dropped('Ending')
    observer?.waits(-1)
  }
}

/** Sends one, until `ended`; never throws. Of failures in a row, only the first is a warning. */
function newSender({ kube, log, observer }: RecorderOptions, ended: AbortSignal) {
  let isFailing = false

  const failed = (err: unknown, path: string): void => {
    const reason = ended.aborted ? 'Ending' : reasonOf(err)
    observer?.dropped(reason)
    const isNews = reason === 'NotStored' && !isFailing
    log[isNews ? 'warn' : 'debug']({ err, path, reason }, 'an event was not recorded')
    isFailing ||= isNews
  }

  return async ({ path, body }: Letter): Promise<void> => {
    try {
      await kube.send({ method: 'POST', path, query: UNCHECKED, body, signal: ended })
      isFailing = false
    } catch (err) {
      if (isKubeError(err, 'AlreadyExists')) isFailing = false
      else failed(err, path)
    }
  }
}

function reasonOf(error: unknown): DropReason {
  return error instanceof NotLeading ? 'NotLeading' : 'NotStored'
}

/** Those that are added meanwhile, too. */
async function allOf(sending: ReadonlySet<Promise<void>>): Promise<void> {
  while (sending.size > 0) await Promise.all(sending)
}

async function atMost(ms: number, clock: Clock, work: Promise<void>): Promise<void> {
  const timer = new AbortController()
  await Promise.race([work, clock.sleep(ms, timer.signal).catch(() => undefined)])
  timer.abort()
}

function lanesFor(waiting: number): number {
  return Math.min(SENDING.most, SENDING.least + Math.floor(waiting / SENDING.oneMoreFor))
}

function nameOf({ object, type, reason, message }: ObjectEvent): string {
  const { name, uid } = object.metadata
  const hash = createHash('sha256')
    .update(JSON.stringify([uid, type, reason, message]))
    .digest('hex')
  const prefix = name.slice(0, 200).replace(/[^a-z0-9]+$/, '')
  return `${prefix}.${hash.slice(0, 20)}`
}

function toEvent({ object, type, reason, message, action }: ObjectEvent, now: Date): object {
  const { apiVersion, kind, metadata } = object
  const { name, namespace, uid, resourceVersion } = metadata
  return {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    eventTime: now.toISOString().replace('Z', '000Z'), // In microseconds.
    type,
    reason,
    action,
    note: truncate(message),
    regarding: { apiVersion, kind, name, namespace, uid, resourceVersion },
  }
}

function truncate(text: string): string {
  const bytes = Buffer.from(text)
  if (bytes.length <= MAX_NOTE_BYTES) return text
  // A character that is cut in two becomes U+FFFD.
  return `${bytes
    .subarray(0, MAX_NOTE_BYTES - 6)
    .toString('utf8')
    .replace(/\uFFFD$/, '')}...`
}

/** Forgets the entry that was set longest ago when there are too many. */
function remember(map: Map<string, number>, key: string, value: number): void {
  map.delete(key)
  map.set(key, value)
  const [oldest] = map.keys()
  if (map.size > MAX_REMEMBERED && oldest !== undefined) map.delete(oldest)
}
