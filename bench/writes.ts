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

const EVENTS = '/apis/events.k8s.io/v1/events'
const LOOK_MS = 250
/** Without a new event for so long there comes none. Who writes them holds them back for 250 ms. */
const QUIET_MS = 4_000
const PATIENCE_MS = 600_000

/** What was still to be written when all was done. */
export interface Tail {
  /** Events that were written late. */
  readonly events: number
  /** From the call until the last of them was written, to a quarter of a second; 0 when there was none. */
  readonly seconds: number
}

/**
 * Returns once no more events are written. They come after what a machine waits for: of a thousand made at once, for some
 * time after all are Ready.
 */
export async function eventsEnded(kube: Kube): Promise<Tail> {
  const startedAt = performance.now()
  let [count, written, grewAt] = [await countEvents(kube), 0, startedAt]
  for (let now = startedAt; now - grewAt < QUIET_MS; now = performance.now()) {
    if (now - startedAt > PATIENCE_MS) throw new Error(`events are written still after ${PATIENCE_MS / 1000} s`)
    await sleep(LOOK_MS)
    const next = await countEvents(kube)
    if (next > count) [written, grewAt] = [written + next - count, performance.now()]
    count = next // Old ones expire meanwhile.
  }
  return { events: written, seconds: (grewAt - startedAt) / 1000 }
}

/** By asking for one of them: the server says how many more there are, which costs it next to nothing. */
async function countEvents(kube: Kube): Promise<number> {
  const { body } = await kube.send<{ items: object[]; metadata: { remainingItemCount?: number } }>({
    method: 'GET',
    path: EVENTS,
    query: { limit: 1 },
  })
  return body.items.length + (body.metadata.remainingItemCount ?? 0)
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
