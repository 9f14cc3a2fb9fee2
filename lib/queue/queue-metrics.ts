import type { Metrics } from '../metrics/metrics.ts'
import type { QueueObserver } from './queue-times.ts'
import type { QueueStats, WorkQueue } from './work-queue.ts'

/** Measures queues, under client-go's names. */
export interface QueueMetrics {
  /** What a queue of this name tells. */
  observer(name: string): QueueObserver
  /** Shows how full a queue is, until that is disposed of. */
  follow(name: string, queue: Pick<WorkQueue, 'stats'>): Disposable
}

// From a key that is taken at once to one that waits for what hangs: client-go's range, in fewer steps.
const BUCKETS = [0.0001, 0.001, 0.01, 0.1, 1, 10, 100, 1000]
const labels = ['name'] as const

/** Adds the metrics of all queues of a process. */
export function newQueueMetrics(metrics: Metrics): QueueMetrics {
  const followed = new Map<string, Pick<WorkQueue, 'stats'>>()
  const adds = metrics.counter({ name: 'workqueue_adds_total', help: 'Keys that were added to a work queue.', labels })
  const retries = metrics.counter({
    name: 'workqueue_retries_total',
    help: 'Keys that are looked at again because the last look failed.',
    labels,
  })
  const waited = metrics.histogram(
    { name: 'workqueue_queue_duration_seconds', help: 'How long keys waited in a work queue.', labels },
    BUCKETS,
  )
  const worked = metrics.histogram(
    { name: 'workqueue_work_duration_seconds', help: 'How long a key was worked on.', labels },
    BUCKETS,
  )
  sampleQueues(metrics, followed)
  return {
    observer(name) {
      const of = { name }
      return {
        added: () => adds.inc(of),
        started: (waitedMs) => waited.observe(of, waitedMs / 1000),
        ended: (tookMs) => worked.observe(of, tookMs / 1000),
        retried: () => retries.inc(of),
      }
    },
    follow(name, queue) {
      followed.set(name, queue)
      return {
        [Symbol.dispose]() {
          if (followed.get(name) === queue) followed.delete(name)
        },
      }
    },
  }
}

function sampleQueues(metrics: Metrics, followed: ReadonlyMap<string, Pick<WorkQueue, 'stats'>>): void {
  const depth = metrics.sampledGauge({
    name: 'workqueue_depth',
    help: 'Keys that wait in a work queue now.',
    labels,
  })
  const unfinished = metrics.sampledGauge({
    name: 'workqueue_unfinished_work_seconds',
    help: 'How long all keys that are worked on now have been, together.',
    labels,
  })
  const longest = metrics.sampledGauge({
    name: 'workqueue_longest_running_processor_seconds',
    help: 'How long the key that takes longest has been worked on.',
    labels,
  })
  const workers = metrics.sampledGauge({
    name: 'controller_runtime_active_workers',
    help: 'Keys that are worked on now.',
    labels: ['controller'],
  })
  metrics.onScrape(() => {
    const all = [...followed].map(([name, { stats }]) => ({ name, stats }))
    const points = (valueOf: (stats: QueueStats) => number) =>
      all.map(({ name, stats }) => [{ name }, valueOf(stats)] as const)
    depth.replace(points((stats) => stats.depth))
    unfinished.replace(points(({ unfinishedMs }) => unfinishedMs / 1000))
    longest.replace(points(({ longestMs }) => longestMs / 1000))
    workers.replace(all.map(({ name, stats }) => [{ controller: name }, stats.inFlight]))
  })
}
