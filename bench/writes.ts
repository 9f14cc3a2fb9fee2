import { setTimeout as sleep } from 'node:timers/promises'
import type { Kube } from '../lib/kube/client.ts'
import { countsOf, sumOf } from './prometheus.ts'
import { round } from './statistics.ts'

/** Who leads, and what somebody only asks for: none of it is an object that changed. */
const NOT_KEPT = /leases|reviews$/

const writing = /^(POST|PUT|PATCH|APPLY|DELETE) /

/** Requests that write, by verb and resource, since the API server started; those that changed nothing count too. */
export async function countWrites(kube: Kube): Promise<Map<string, number>> {
  const { body } = await kube.send<string>({ method: 'GET', path: '/metrics' })
  const counts = countsOf(body, 'apiserver_request_total', ['verb', 'resource', 'subresource'])
  return new Map(
    [...counts].flatMap(([key, count]) => {
      if (!writing.test(key)) return []
      const [verb, resource, subresource = ''] = key.split(' ')
      return [[`${verb} ${resource}${subresource === '' ? '' : `/${subresource}`}`, count] as const]
    }),
  )
}

/** Whether a write, by verb and resource, is one of something that lasts. */
export function isKept(key: string): boolean {
  return !NOT_KEPT.test(key)
}

const LOOK_MS = 5_000
const PATIENCE_MS = 120_000

/**
 * Returns once nothing more is written. Events come after what a machine waits for: of a thousand made at once, for some
 * time after all are Ready.
 */
export async function writesEnded(kube: Kube): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  for (let before = Number.NaN; performance.now() < deadline; await sleep(LOOK_MS)) {
    const kept = sumOf(await countWrites(kube), isKept)
    if (kept === before) return
    before = kept
  }
  throw new Error(`something is written still, ${PATIENCE_MS / 1000} s after all was Ready`)
}

/** What was written for one machine and its disk: all that is kept, but for the create of whoever wanted the machine. */
export interface WritesPerMachine {
  /** By verb and resource. */
  readonly writes: ReadonlyMap<string, number>
  readonly all: number
  readonly onMachine: number
  readonly onDisk: number
  readonly events: number
}

/** Of writes that were counted while so many machines were created, and nothing else was wanted. */
export function writesPerMachine(counted: ReadonlyMap<string, number>, machines: number): WritesPerMachine {
  const ours = [...counted].filter(([key]) => isKept(key) && key !== 'POST virtualmachines')
  const writes = new Map(ours.map(([key, count]) => [key, count / machines]))
  return {
    writes,
    all: sumOf(writes),
    onMachine: sumOf(writes, (key) => key.includes(' virtualmachines')),
    onDisk: sumOf(writes, (key) => key.includes(' disks')),
    events: sumOf(writes, (key) => key.includes(' events')),
  }
}

/** Rows of a table of them. */
export function writesRows({ writes, all }: WritesPerMachine): (string | number)[][] {
  const each = [...writes].map(([key, count]) => [key, round(count, 3)])
  return [["API writes a machine, the user's create and Leases apart", ''], ...each, ['all', round(all, 3)]]
}

/** Them as figures of a benchmark. */
export function writesFigures({ writes, all, onMachine, onDisk, events }: WritesPerMachine) {
  return {
    writesPerVm: round(all, 3),
    vmWritesPerVm: round(onMachine, 3),
    diskWritesPerVm: round(onDisk, 3),
    eventsPerVm: round(events, 3),
    writes: Object.fromEntries([...writes].map(([key, count]) => [key, round(count, 3)])),
  }
}
