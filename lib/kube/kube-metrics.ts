import { DURATION_BUCKETS, type Metrics } from '../metrics/metrics.ts'
import type { RequestObservation, RequestObserver } from './client.ts'
import type { EventObserver } from './events.ts'
import type { ReflectorObserver } from './reflector.ts'

/** Measures what passes between a process and the API server, under client-go's names where it has some. */
export interface KubeMetrics {
  readonly requests: RequestObserver
  /** What the reflector of these objects tells. */
  readonly reflector: (plural: string) => ReflectorObserver
  readonly events: EventObserver
  /** Shows whether this process holds the lease of this name. */
  readonly leads: (lease: string, isLeader: boolean) => void
}

/** Adds the metrics of the API server's clients of a process that elects a leader. */
export function newKubeMetrics(metrics: Metrics): KubeMetrics {
  const leaders = new Map<string, boolean>()
  const status = metrics.sampledGauge({
    name: 'leader_election_master_status',
    help: 'Whether this process holds the lease: 1 leads, 0 follows.',
    labels: ['name'],
  })
  metrics.onScrape(() => status.replace([...leaders].map(([name, leads]) => [{ name }, leads ? 1 : 0])))
  return {
    requests: newRequestMetrics(metrics),
    reflector: newReflectorMetrics(metrics),
    events: newEventMetrics(metrics),
    leads: (lease, isLeader) => leaders.set(lease, isLeader),
  }
}

/** Of the requests of a process. */
export function newRequestMetrics(metrics: Metrics): RequestObserver {
  const total = metrics.counter({
    name: 'rest_client_requests_total',
    help: 'Requests to the API server by HTTP status and method; the status is <error> where there was no answer.',
    labels: ['code', 'method'],
  })
  const duration = metrics.histogram(
    {
      name: 'rest_client_request_duration_seconds',
      help: 'How long the API server took to begin its answer, by verb; WATCH is the beginning of a watch.',
      labels: ['verb'],
    },
    DURATION_BUCKETS,
  )
  const writes = metrics.counter({
    name: 'holdfast_api_writes_total',
    help: 'Writes that the API server accepted, by resource, subresource and verb, as in apiserver_request_total.',
    labels: ['resource', 'subresource', 'verb'],
  })
  return (observation) => {
    const { method, status, tookMs } = observation
    total.inc({ code: status === undefined ? '<error>' : String(status), method: method === 'WATCH' ? 'GET' : method })
    duration.observe({ verb: method }, tookMs / 1000)
    const write = status !== undefined && status < 300 ? writeOf(observation) : undefined
    if (write) writes.inc(write)
  }
}

interface Write {
  readonly resource: string
  readonly subresource: string
  readonly verb: string
}

// /api/v1/namespaces/NAMESPACE/PLURAL/NAME/SUBRESOURCE, or with /apis/GROUP/VERSION, or without the namespace. What
// is in the label are plurals and subresources alone: of these there are as many as the code names.
const PATH = /^\/(?:api\/[^/]+|apis\/[^/]+\/[^/]+)(?:\/namespaces\/[^/]+(?=\/))?\/([^/]+)(?:\/[^/]+(?:\/([^/]+))?)?$/

/** What a request writes; undefined when it only reads. A server-side apply is told from other patches. */
export function writeOf({
  method,
  path,
  contentType,
}: Omit<RequestObservation, 'status' | 'tookMs'>): Write | undefined {
  if (method === 'GET' || method === 'WATCH') return undefined
  const [, resource, subresource = ''] = PATH.exec(path) ?? []
  if (resource === undefined) return undefined
  const verb = method === 'PATCH' && contentType === 'application/apply-patch+yaml' ? 'APPLY' : method
  return { resource, subresource, verb }
}

/** Of the reflectors of a process. */
export function newReflectorMetrics(metrics: Metrics): KubeMetrics['reflector'] {
  const labels = ['name'] as const
  const lists = metrics.counter({
    name: 'reflector_lists_total',
    help: 'Lists of all objects that have come to their end, by resource.',
    labels,
  })
  const relists = metrics.counter({
    name: 'reflector_relists_total',
    help: 'Of these lists, those that were not the first of their process.',
    labels,
  })
  const watches = metrics.counter({
    name: 'reflector_watches_total',
    help: 'Watches that were begun, by resource; a list that streams in is one too.',
    labels,
  })
  const failures = metrics.counter({
    name: 'reflector_failures_total',
    help: 'Lists and watches that failed and were tried again, by resource.',
    labels,
  })
  return (name) => {
    const of = { name }
    for (const counter of [lists, relists, watches, failures]) counter.inc(of, 0)
    return {
      watching: () => watches.inc(of),
      listed(isAgain) {
        lists.inc(of)
        if (isAgain) relists.inc(of)
      },
      failed: () => failures.inc(of),
    }
  }
}

/** Of all recorders of a process. */
function newEventMetrics(metrics: Metrics): EventObserver {
  const dropped = metrics.counter({
    name: 'holdfast_events_dropped_total',
    help: 'Events that were dropped, by reason: Throttled (too many of one object), QueueFull, NotStored by the API server, NotLeading (this process no longer is the leader), or Ending (too many waited at its end).',
    labels: ['reason'],
  })
  const waiting = metrics.sampledGauge({
    name: 'holdfast_events_waiting',
    help: 'Events that wait to be stored, those that are being sent included.',
    labels: [],
  })
  for (const reason of ['Throttled', 'QueueFull', 'NotStored', 'NotLeading', 'Ending'] as const)
    dropped.inc({ reason }, 0)
  let count = 0
  metrics.onScrape(() => waiting.replace([[{}, count]]))
  return {
    dropped: (reason) => dropped.inc({ reason }),
    waits(by) {
      count += by
    },
  }
}
