import { expect, test } from 'vitest'
import { failuresSince, readControllers, reconcileMsSince } from './controllers.ts'

const before = readControllers(
  7,
  `controller_runtime_reconcile_errors_total{controller="disk"} 0
controller_runtime_reconcile_errors_total{controller="image"} 2
controller_runtime_reconcile_time_seconds_sum{controller="disk"} 1
controller_runtime_reconcile_time_seconds_count{controller="disk"} 10
holdfast_agent_requests_total{host="a",outcome="OK"} 5
rest_client_requests_total{code="200",method="GET"} 3
holdfast_events_dropped_total{reason="NotStored"} 1
`,
)
const text = `controller_runtime_reconcile_errors_total{controller="disk"} 1
controller_runtime_reconcile_errors_total{controller="image"} 2
controller_runtime_reconcile_time_seconds_sum{controller="disk"} 3
controller_runtime_reconcile_time_seconds_count{controller="disk"} 1010
holdfast_agent_requests_total{host="a",outcome="OK"} 5
holdfast_agent_requests_total{host="a",outcome="UNREACHABLE"} 1
holdfast_agent_requests_total{host="b",outcome="UNREACHABLE"} 1
rest_client_requests_total{code="409",method="PUT"} 3
rest_client_requests_total{code="503",method="GET"} 1
rest_client_requests_total{code="<error>",method="GET"} 4
holdfast_events_dropped_total{reason="Throttled"} 9
holdfast_events_dropped_total{reason="QueueFull"} 2
holdfast_events_dropped_total{reason="NotStored"} 4
`

test('What failed in the controllers is told by kind, and neither conflicts, throttled events nor what failed before are', () => {
  expect(Object.fromEntries(failuresSince(before, readControllers(7, text)))).toEqual({
    'reconcile disk': 1,
    'agent UNREACHABLE': 2,
    'API 503': 1,
    'API <error>': 4,
    'event QueueFull': 2,
    'event NotStored': 3,
  })
  expect(failuresSince(before, before)).toEqual(new Map())
})

test('Controllers that ended meanwhile are a failure', () => {
  expect(failuresSince(before, readControllers(8, ''))).toEqual(new Map([['controllers ended', 1]]))
})

test('The time of a reconcile is that of those between two looks, and 0 without any', () => {
  expect(reconcileMsSince(before, readControllers(7, text), 'disk')).toBe(2)
  expect(reconcileMsSince(before, before, 'disk')).toBe(0)
  expect(reconcileMsSince(before, before, 'host')).toBe(0)
})
