import { describe, expect, test } from 'vitest'
import { newAgentMetrics } from '../agent/metrics/agent-metrics.ts'
import type { Sample } from '../agent/metrics/sampler.ts'
import { newCaches } from '../controllers/cluster/caches.ts'
import { newControllersMetrics } from '../controllers/metrics.ts'
import { binnedDisk, entry } from '../crds/testing/objects.ts'
import { newWebhooksMetrics } from '../webhooks/metrics.ts'
import { complaintsOf, findPromtool } from './promtool.ts'

// oxlint-disable-next-line node/no-process-env -- where programs are kept is the user's to say
const promtool = findPromtool(process.env) ?? ''
const missing = promtool === '' ? ' (skipped: there is no promtool; npm test fetches it, or install prometheus)' : ''

/** With a series of every metric, for only what is there can be wrong. */
async function controllers(): Promise<string> {
  const { metrics, kube, queues, reconciles, calls, follow } = newControllersMetrics()
  const stats = { depth: 1, inFlight: 1, retries: 0, unfinishedMs: 1, longestMs: 1 }
  queues.follow('disk', { stats })
  const queue = queues.observer('disk')
  queue.added()
  queue.started(1)
  queue.ended(1)
  queue.retried()
  reconciles.observer('disk')('error', 5)
  const caches = newCaches()
  caches.recycled.replace([entry('Disk', 'data', { disks: [binnedDisk('data')] })], '9')
  caches.brakes.replace([], '9')
  caches.platformSettings.replace([], '9')
  follow(caches, () => new Date())
  calls('host-1')('UNREACHABLE', 20)
  const path = '/apis/storage.holdfast.dev/v1alpha1/namespaces/a/disks/b/status'
  kube.requests({ method: 'PATCH', path, contentType: 'application/merge-patch+json', status: 200, tookMs: 3 })
  kube.reflector('disks').listed(true)
  kube.events.dropped('NotStored')
  return metrics.render()
}

async function webhooks(): Promise<string> {
  const { metrics, requests, reflector, answered, latched, registered } = newWebhooksMetrics()
  const resource = { group: 'storage.holdfast.dev', version: 'v1alpha1', resource: 'disks' }
  answered({ webhook: 'validate', request: { operation: 'DELETE', resource }, verdict: {}, tookMs: 5 })
  latched('Disk')
  registered(true)
  requests({
    method: 'GET',
    path: '/api/v1/namespaces/a/configmaps/b',
    contentType: 'application/json',
    status: 200,
    tookMs: 3,
  })
  reflector('disks').listed(true)
  return metrics.render()
}

const sample: Sample = {
  host: {
    cpus: 2,
    memoryBytes: 8,
    memoryAvailableBytes: 4,
    cpuSeconds: { user: 1 },
    network: [{ name: 'eno1', receivedBytes: 1, transmittedBytes: 2 }],
  },
  storages: [{ name: 'local', space: { capacityBytes: 2, availableBytes: 1 } }],
  machines: [
    {
      machine: { id: 'c0ffee00-0000-4000-8000-000000000001', name: 'a/b', state: 'Running', restarts: 0 },
      hardware: { cpus: 1, memoryBytes: 1, machineType: 'q35' },
      usage: { cpuSeconds: 1, residentBytes: 1 },
      drives: [
        {
          id: 'd',
          stats: {
            rd_bytes: 1,
            wr_bytes: 1,
            rd_operations: 1,
            wr_operations: 1,
            flush_operations: 1,
            rd_total_time_ns: 1,
            wr_total_time_ns: 1,
            flush_total_time_ns: 1,
          },
        },
      ],
    },
  ],
}

async function agent(): Promise<string> {
  const take = async () => sample
  return newAgentMetrics({ name: 'host-1', take, clock: { monotonicMs: () => 0 }, ofProcess: true }).render()
}

describe.skipIf(promtool === '')(`promtool${missing}`, () => {
  test('finds what is wrong, when something is', () => {
    const wrong = '# TYPE things counter\nthings 1\n'
    expect(complaintsOf(promtool, ['check', 'metrics'], wrong)).toContain('_total')
  })

  test.each([
    ['controllers', controllers],
    ['webhooks', webhooks],
    ['agents', agent],
  ])('finds nothing wrong with the metrics of %s', async (_of, render) => {
    const text = await render()
    expect(text).toContain('holdfast_')
    expect(complaintsOf(promtool, ['check', 'metrics'], text)).toBeUndefined()
  })

  test.each([
    ['alerts', ['check', 'rules', 'config/monitoring/rules.yaml']],
    ['configuration', ['check', 'config', '--syntax-only', 'config/monitoring/prometheus.yaml']],
  ])('finds nothing wrong with the %s', (_what, args) => {
    expect(complaintsOf(promtool, args)).toBeUndefined()
  })

  test('sees the alerts fire when they should, and not when they should not', () => {
    expect(complaintsOf(promtool, ['test', 'rules', 'config/monitoring/rules-test.yaml'])).toBeUndefined()
  })
})
