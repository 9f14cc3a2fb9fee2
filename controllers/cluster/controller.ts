import type { Kind, Resource } from '../../crds/kind.ts'
import type { Clock } from '../../lib/clock.ts'
import type { ObjectCache } from '../../lib/kube/cache.ts'
import type { Kube } from '../../lib/kube/client.ts'
import { isKubeError } from '../../lib/kube/errors.ts'
import type { EventRecorder } from '../../lib/kube/events.ts'
import { keyOf } from '../../lib/kube/paths.ts'
import { NotLeading } from '../../lib/kube/while-leading.ts'
import { objectWriter } from '../../lib/kube/writer.ts'
import type { Log } from '../../lib/log.ts'
import { WorkQueue } from '../../lib/queue/work-queue.ts'
import { isWell } from '../../lib/reconcile/conditions.ts'
import { reconcile, type Env, type Reconciler } from '../../lib/reconcile/reconcile.ts'
import type { Enqueue } from './watch.ts'

/** Owns everything that controllers write, apart from what names another manager. */
export const FIELD_MANAGER = 'holdfast-controllers'

const WORKERS = 128

export interface ControllerDeps {
  readonly kube: Pick<Kube, 'send'>
  readonly recorder: EventRecorder
  readonly clock: Clock
  readonly log: Log
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
  { kube, recorder, clock, log }: ControllerDeps,
): Controller {
  const onFailure = (key: string, err: unknown, retryInMs: number) => {
    const context = { kind: kind.kind, object: key, retryInMs: Math.round(retryInMs), err }
    // Somebody else was faster: the ordinary way to learn of a change.
    if (isKubeError(err, 'Conflict')) log.debug(context, 'the object changed meanwhile')
    else if (err instanceof NotLeading) log.debug(context, 'this process does not lead')
    else log.warn(context, 'a reconcile failed')
  }
  const queue = new WorkQueue({ clock, workers: WORKERS, onFailure })
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
  }
  return {
    add,
    work: (signal) => queue.run((key) => reconcile(key, reconciler, env), signal),
  }
}
