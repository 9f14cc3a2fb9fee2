import { expect, test } from 'vitest'
import { newMetrics } from '../metrics/metrics.ts'
import type { RequestObservation } from './client.ts'
import { newKubeMetrics, writeOf } from './kube-metrics.ts'

const vms = '/apis/compute.holdfast.dev/v1alpha1/namespaces/secret-team/virtualmachines'
const asJson = { contentType: 'application/json' } as const

test.each([
  ['POST', vms, 'virtualmachines', ''],
  ['DELETE', `${vms}/hello`, 'virtualmachines', ''],
  ['PUT', `${vms}/hello/status`, 'virtualmachines', 'status'],
  ['POST', '/apis/compute.holdfast.dev/v1alpha1/hosts', 'hosts', ''],
  ['PATCH', '/apis/compute.holdfast.dev/v1alpha1/hosts/host-1/status', 'hosts', 'status'],
  ['POST', '/apis/events.k8s.io/v1/namespaces/default/events', 'events', ''],
  ['POST', '/api/v1/namespaces', 'namespaces', ''],
  ['PATCH', '/api/v1/namespaces/default', 'namespaces', ''],
] as const)('A write by %s to %s is counted as %s/%s, without names', (method, path, resource, subresource) => {
  expect(writeOf({ method, path, ...asJson })).toEqual({ resource, subresource, verb: method })
})

test('A server-side apply is told from another patch, and reads are no writes', () => {
  const apply = { method: 'PATCH', path: `${vms}/a/status`, contentType: 'application/apply-patch+yaml' } as const
  expect(writeOf(apply)?.verb).toBe('APPLY')
  expect(writeOf({ method: 'GET', path: `${vms}/a`, ...asJson })).toBeUndefined()
  expect(writeOf({ method: 'WATCH', path: vms, ...asJson })).toBeUndefined()
  expect(writeOf({ method: 'POST', path: '/healthz', ...asJson })).toBeUndefined()
})

test('Requests are counted by status, and only those that were accepted are writes', async () => {
  const metrics = newMetrics({ ofProcess: false })
  const { requests, leads } = newKubeMetrics(metrics)
  const request = (change: Partial<RequestObservation>) =>
    requests({ method: 'POST', path: vms, status: 201, tookMs: 20, ...asJson, ...change })
  request({})
  request({ status: 409 })
  request({ status: undefined })
  request({ method: 'WATCH', status: 200 })
  leads('controllers', false)
  leads('controllers', true)
  const text = await metrics.render()
  expect(text).toContain('rest_client_requests_total{code="201",method="POST"} 1')
  expect(text).toContain('rest_client_requests_total{code="409",method="POST"} 1')
  expect(text).toContain('rest_client_requests_total{code="<error>",method="POST"} 1')
  expect(text).toContain('rest_client_requests_total{code="200",method="GET"} 1')
  expect(text).toContain('rest_client_request_duration_seconds_count{verb="WATCH"} 1')
  expect(text).toContain('holdfast_api_writes_total{resource="virtualmachines",subresource="",verb="POST"} 1')
  expect(text).toContain('leader_election_master_status{name="controllers"} 1')
  expect(text).not.toContain('secret-team')
})

test('Events that are dropped are counted by reason, each from the beginning, and those that wait are told', async () => {
  const metrics = newMetrics({ ofProcess: false })
  const { events } = newKubeMetrics(metrics)
  events.dropped('QueueFull')
  for (const by of [1, 1, -1] as const) events.waits(by)
  const text = await metrics.render()
  expect(text.split('\n').filter((line) => line.startsWith('holdfast_events'))).toEqual([
    'holdfast_events_dropped_total{reason="Throttled"} 0',
    'holdfast_events_dropped_total{reason="QueueFull"} 1',
    'holdfast_events_dropped_total{reason="NotStored"} 0',
    'holdfast_events_dropped_total{reason="NotLeading"} 0',
    'holdfast_events_dropped_total{reason="Ending"} 0',
    'holdfast_events_waiting 1',
  ])
})
