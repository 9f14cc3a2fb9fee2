import { brakedKinds, kinds } from '../crds/index.ts'
import { newReflectorMetrics, newRequestMetrics, type KubeMetrics } from '../lib/kube/kube-metrics.ts'
import { DURATION_BUCKETS, newMetrics, type Metrics } from '../lib/metrics/metrics.ts'
import type { AdmissionRequest, Verdict } from './review.ts'

/** Everything that is measured of a process of the webhooks. */
export interface WebhooksMetrics extends Pick<KubeMetrics, 'requests' | 'reflector'> {
  readonly metrics: Pick<Metrics, 'contentType' | 'render' | 'describe'>
  readonly answered: (answer: Answer) => void
  /** Whether the API server asks webhooks at all. */
  readonly registered: (isRegistered: boolean) => void
  /** This process wrote down that a brake holds. */
  readonly latched: (kind: string) => void
}

/** A question of the API server that got its answer. */
export interface Answer {
  readonly webhook: 'validate' | 'mutate'
  readonly request: Pick<AdmissionRequest, 'operation' | 'resource'>
  readonly verdict: Pick<Verdict, 'refusal'>
  readonly tookMs: number
}

/** Makes the metrics of a process of the webhooks. */
export function newWebhooksMetrics(): WebhooksMetrics {
  const metrics = newMetrics({ ofProcess: true })
  const total = metrics.counter({
    name: 'holdfast_admission_requests_total',
    help: 'Questions of the API server by webhook, kind, operation and answer: Allowed, or the reason of the refusal.',
    labels: ['webhook', 'kind', 'operation', 'answer'],
  })
  const duration = metrics.histogram(
    {
      name: 'holdfast_admission_duration_seconds',
      help: 'How long the API server waited for an answer, with the calls that were made for it, but without the network.',
      labels: ['webhook', 'operation'],
    },
    DURATION_BUCKETS,
  )
  const latches = metrics.counter({
    name: 'holdfast_brake_latches_total',
    help: 'Mass-delete brakes that latched on a question to this process, by kind.',
    labels: ['kind'],
  })
  const registered = metrics.sampledGauge({
    name: 'holdfast_admission_registered',
    help: 'Whether the webhook configurations are there: 0 means that not all is judged.',
    labels: [],
  })
  for (const { kind } of brakedKinds) latches.inc({ kind }, 0)
  return {
    metrics,
    requests: newRequestMetrics(metrics),
    reflector: newReflectorMetrics(metrics),
    answered({ webhook, request: { operation, resource }, verdict, tookMs }) {
      const answer = verdict.refusal?.reason ?? 'Allowed'
      total.inc({ webhook, kind: kindOf(resource), operation, answer })
      duration.observe({ webhook, operation }, tookMs / 1000)
    },
    registered: (isRegistered) => registered.replace([[{}, isRegistered ? 1 : 0]]),
    latched: (kind) => latches.inc({ kind }),
  }
}

const named = new Map(kinds.map(({ group, plural, kind }) => [`${plural}.${group}`, kind]))
named.set('namespaces.', 'Namespace')
named.set('customresourcedefinitions.apiextensions.k8s.io', 'CustomResourceDefinition')

/** Of what is asked about. There are as many as the configurations name; whatever else is asked is one. */
function kindOf({ group, resource }: AdmissionRequest['resource']): string {
  return named.get(`${resource}.${group}`) ?? 'Other'
}
