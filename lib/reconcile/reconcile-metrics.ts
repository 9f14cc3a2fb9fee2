import { DURATION_BUCKETS, type Metrics } from '../metrics/metrics.ts'

/**
 * `requeue_after`: it asked for another look. `conflict`: somebody else had changed the object, which is looked at anew;
 * controller-runtime counts that among the errors, and every busy cluster has some.
 */
export type ReconcileResult = 'success' | 'requeue_after' | 'conflict' | 'error'

/** Is told of every reconcile of one kind. Must not throw. */
export type ReconcileObserver = (result: ReconcileResult, tookMs: number) => void

/** Measures reconciles, under controller-runtime's names. */
export interface ReconcileMetrics {
  observer(controller: string): ReconcileObserver
}

/** Adds the metrics of all controllers of a process. */
export function newReconcileMetrics(metrics: Metrics): ReconcileMetrics {
  const total = metrics.counter({
    name: 'controller_runtime_reconcile_total',
    help: 'Reconciles by their result: success, requeue_after, conflict (the object had changed meanwhile) or error.',
    labels: ['controller', 'result'],
  })
  const errors = metrics.counter({
    name: 'controller_runtime_reconcile_errors_total',
    help: 'Reconciles that failed. Conflicts are not among them.',
    labels: ['controller'],
  })
  const duration = metrics.histogram(
    {
      name: 'controller_runtime_reconcile_time_seconds',
      help: 'How long reconciles took.',
      labels: ['controller'],
    },
    DURATION_BUCKETS,
  )
  return {
    observer(controller) {
      const of = { controller }
      errors.inc(of, 0) // So that the first error is an increase.
      return (result, tookMs) => {
        total.inc({ controller, result })
        duration.observe(of, tookMs / 1000)
        if (result === 'error') errors.inc(of)
      }
    },
  }
}
