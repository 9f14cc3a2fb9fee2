import type { Kind, Resource } from '../../crds/kind.ts'
import { Budgets } from '../../lib/budgets.ts'
import type { Clock } from '../../lib/clock.ts'
import type { ObjectCache } from '../../lib/kube/cache.ts'
import type { Kube } from '../../lib/kube/client.ts'
import { isKubeError } from '../../lib/kube/errors.ts'
import type { EventRecorder } from '../../lib/kube/events.ts'
import { keyOf } from '../../lib/kube/paths.ts'
import { NotLeading } from '../../lib/kube/while-leading.ts'
import { objectWriter } from '../../lib/kube/writer.ts'
import type { Log } from '../../lib/log.ts'
import type { QueueMetrics } from '../../lib/queue/queue-metrics.ts'
import { WorkQueue, type Handler } from '../../lib/queue/work-queue.ts'
import { isWell } from '../../lib/reconcile/conditions.ts'
import type { ReconcileMetrics, ReconcileObserver } from '../../lib/reconcile/reconcile-metrics.ts'
import { DETAILS, reconcile, type Env, type Reconciler } from '../../lib/reconcile/reconcile.ts'
import type { Enqueue } from './watch.ts'

/** Owns everything that controllers write, apart from what names another manager. */
export const FIELD_MANAGER = 'holdfast-controllers'

/** Each that is under way holds memory and a connection. Who waits for a slow host keeps nobody out. */
const WORKERS = { places: 16, patienceMs: 400, most: 128 }

export interface ControllerDeps {
  readonly kube: Pick<Kube, 'send'>
  readonly recorder: EventRecorder
  readonly clock: Clock
  readonly log: Log
  readonly metrics?: ControllerMetrics | undefined
}

/** What is measured of every controller. */
export interface ControllerMetrics {
  readonly queues: QueueMetrics
  readonly reconciles: ReconcileMetrics
}

/** Keeps the objects of one kind as their specs ask. */
export interface Controller {
  /** Has an object looked at, because something that it depends on changed. */
  readonly add: Enqueue
  /** Reconciles. Returns when the signal is aborted and what was under way has ended. */
  readonly work: (signal: AbortSignal) => Promise<void>
}

/** Joins a kind's cache, queue and reconciler. Every change of an object has it looked at. */
export function newController<K extends Kind, Scope>(
  kind: K,
  cache: ObjectCache<Resource<K>>,
  reconciler: Reconciler<Resource<K>, Scope>,
  { kube, recorder, clock, log, metrics }: ControllerDeps,
): Controller {
  const onFailure = (key: string, err: unknown, retryInMs: number) => {
    const context = { kind: kind.kind, object: key, retryInMs: Math.round(retryInMs), err }
    // Somebody else was faster: the ordinary way to learn of a change.
    if (isKubeError(err, 'Conflict')) log.debug(context, 'the object changed meanwhile')
    else if (err instanceof NotLeading) log.debug(context, 'this process does not lead')
    else log.warn(context, 'a reconcile failed')
  }
  const name = kind.kind.toLowerCase()
  const observer = metrics?.queues.observer(name)
  const queue = new WorkQueue({ clock, workers: WORKERS, onFailure, ...(observer && { observer }) })
  const waitingSince = new Map<string, number>()
  const add: Enqueue = (key, haste) => {
    const object = cache.get(key)
    // Thousands that are well are looked at when a leader begins, or a host comes back. The others do not wait for them.
    queue.add(key, haste === undefined && object && isWell(object) ? 'Idle' : 'Next')
  }
  cache.onChange((before, after) => {
    if (before && !after) waitingSince.delete(before.metadata.uid)
    const object = after ?? before
    if (object) add(keyOf(object.metadata))
  })
  const env: Env<Resource<K>> = {
    get: (key) => cache.get(key),
    writer: objectWriter(kube, kind, FIELD_MANAGER, cache),
    clock,
    emit: (object, news) => recorder.record({ object, ...news, action: 'Reconcile' }),
    waitingSince,
    details: new Budgets({ clock, ...DETAILS }),
  }
  const work: Handler = (key) => reconcile(key, reconciler, env)
  const measured = metrics ? observed(work, metrics.reconciles.observer(name), clock) : work
  return {
    add,
    async work(signal) {
      const followed = metrics?.queues.follow(name, queue)
      try {
        await queue.run(measured, signal)
      } finally {
        followed?.[Symbol.dispose]()
      }
    },
  }
}

function observed(work: Handler, observe: ReconcileObserver, clock: Clock): Handler {
  return async (key) => {
    const startedMs = clock.monotonicMs()
    try {
      const next = await work(key)
      observe(next.retryAfterMs === undefined ? 'success' : 'requeue_after', clock.monotonicMs() - startedMs)
      return next
    } catch (error) {
      observe(isExpected(error) ? 'conflict' : 'error', clock.monotonicMs() - startedMs)
      throw error
    }
  }
}

/** Somebody else was faster, or leads now: the ordinary way to learn of it. */
function isExpected(error: unknown): boolean {
  return isKubeError(error, 'Conflict') || error instanceof NotLeading
}
