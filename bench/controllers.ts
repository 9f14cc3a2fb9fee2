import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'undici'
import * as z from 'zod'
import { countsOf, growth, sumOf } from './prometheus.ts'
import { pidOf } from './usage.ts'

const AGAIN_MS = 500
/** One that has ended is started again by then. */
const DEADLINE_MS = 30_000

const state = z.object({ metrics: z.object({ controllers: z.int() }) })

/** What the process of the controllers has done since it was started, as its own metrics say. */
export interface Controllers {
  readonly pid: number
  /** What failed: `reconcile KIND`, `agent CODE`, `API STATUS`, `event REASON`. Conflicts and what waits or is throttled are none. */
  readonly failures: ReadonlyMap<string, number>
  /** By kind in lower case: how many reconciles there were, and how long they took together. */
  readonly reconciles: ReadonlyMap<string, number>
  readonly reconcileSeconds: ReadonlyMap<string, number>
  /** By host: how long calls of its agent took together, those too that had no answer. */
  readonly agentSeconds: ReadonlyMap<string, number>
}

/** Asks the controllers of a local platform, as Prometheus would. */
export async function askControllers(home: string): Promise<Controllers> {
  const deadline = performance.now() + DEADLINE_MS
  for (;;) {
    try {
      const pid = await pidOf(home, 'controllers')
      return readControllers(pid, await scrape(home))
    } catch (error) {
      if (performance.now() > deadline) throw error
      await sleep(AGAIN_MS)
    }
  }
}

async function scrape(home: string): Promise<string> {
  const { metrics } = state.parse(JSON.parse(await readFile(join(home, 'platform.json'), 'utf8')))
  const read = (name: string) => readFile(join(home, 'pki', 'agents', name), 'utf8')
  const [ca, cert, key] = await Promise.all(['ca.crt', 'holdfast-metrics.crt', 'holdfast-metrics.key'].map(read))
  const client = new Client(`https://127.0.0.1:${metrics.controllers}`, { connect: { ca, cert, key } })
  try {
    const { statusCode, body } = await client.request({ method: 'GET', path: '/metrics' })
    const text = await body.text()
    if (statusCode !== 200) throw new Error(`the metrics of the controllers are answered with ${statusCode}: ${text}`)
    return text
  } finally {
    await client.close()
  }
}

/** Reads the text of their metrics. */
export function readControllers(pid: number, text: string): Controllers {
  const failed = (what: string, counts: ReadonlyMap<string, number>, is: (key: string) => boolean = () => true) =>
    [...counts].filter(([key, count]) => count > 0 && is(key)).map(([key, count]) => [`${what} ${key}`, count] as const)
  const time = 'controller_runtime_reconcile_time_seconds'
  return {
    pid,
    failures: new Map([
      ...failed('reconcile', countsOf(text, 'controller_runtime_reconcile_errors_total', ['controller'])),
      ...failed('agent', countsOf(text, 'holdfast_agent_requests_total', ['outcome']), (outcome) => outcome !== 'OK'),
      ...failed('API', countsOf(text, 'rest_client_requests_total', ['code']), (code) => /^5|^429|error/.test(code)),
      ...failed('event', countsOf(text, 'holdfast_events_dropped_total', ['reason']), (why) => why !== 'Throttled'),
    ]),
    reconciles: countsOf(text, `${time}_count`, ['controller']),
    reconcileSeconds: countsOf(text, `${time}_sum`, ['controller']),
    agentSeconds: countsOf(text, 'holdfast_agent_request_duration_seconds_sum', ['host']),
  }
}

/** What failed between two looks. A process that ended meanwhile is a failure too, and its own are not known. */
export function failuresSince(before: Controllers, after: Controllers): Map<string, number> {
  if (before.pid === after.pid) return growth(before.failures, after.failures)
  return new Map([...after.failures, ['controllers ended', 1]])
}

/** Mean milliseconds of a reconcile of one kind between two looks; 0 when there was none. */
export function reconcileMsSince(before: Controllers, after: Controllers, kind: string): number {
  const grown = (of: 'reconciles' | 'reconcileSeconds') =>
    sumOf(after[of], (key) => key === kind) - sumOf(before[of], (key) => key === kind)
  const count = grown('reconciles')
  return count > 0 ? (grown('reconcileSeconds') * 1000) / count : 0
}
