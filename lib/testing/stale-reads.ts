import { once } from 'node:events'
import * as z from 'zod'
import type { FaultProxy, Passing, Verdict } from './fault-proxy.ts'

const snapshot = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ resourceVersion: z.string() }),
  items: z.array(z.looseObject({ metadata: z.looseObject({}) })),
})
type Snapshot = z.infer<typeof snapshot>

/**
 * Has these collections answered as they are now, as by an API server that lags behind: lists are old, and a watch is
 * silent until it has caught up, which is when the fault ends. Returns what ends it.
 */
export async function staleReads(proxy: FaultProxy, collections: readonly string[]): Promise<() => void> {
  const over = new AbortController()
  const asked = collections.map(async (path) => [path, snapshot.parse(await proxy.ask(path))] as const)
  const snapshots = new Map(await Promise.all(asked))
  proxy.judge = (passing) => {
    const old = passing.method === 'GET' ? snapshots.get(passing.path.replace(/\?.*/, '')) : undefined
    return old ? fromThen(old, passing, over.signal) : { type: 'pass' }
  }
  proxy.cutAll()
  return () => {
    over.abort()
    proxy.reset()
  }
}

function fromThen(old: Snapshot, { path, isStream }: Passing, over: AbortSignal): Verdict {
  if (!isStream) return { type: 'answer', status: 200, body: old }
  if (!path.includes('sendInitialEvents=true')) return { type: 'pass', lines: (from) => onceOver(from, over, []) }
  // The rest of the stream begins where the old list ended.
  const query = new URLSearchParams(path.replace(/^[^?]*\?/, ''))
  query.delete('sendInitialEvents')
  query.delete('resourceVersionMatch')
  query.set('resourceVersion', old.metadata.resourceVersion)
  const resumed = `${path.replace(/\?.*/, '')}?${query.toString()}`
  return { type: 'pass', path: resumed, lines: (from) => onceOver(from, over, listed(old)) }
}

/** A list as a stream says it. */
function listed({ apiVersion, kind, metadata: { resourceVersion }, items }: Snapshot): string[] {
  const type = { apiVersion, kind: kind.replace(/List$/, '') }
  const annotations = { 'k8s.io/initial-events-end': 'true' }
  return [
    ...items.map((object) => ({ type: 'ADDED', object: { ...type, ...object } })),
    { type: 'BOOKMARK', object: { ...type, metadata: { resourceVersion, annotations } } },
  ].map((event) => `${JSON.stringify(event)}\n`)
}

async function* onceOver(
  from: AsyncIterable<string>,
  over: AbortSignal,
  first: readonly string[],
): AsyncGenerator<string> {
  yield* first
  if (!over.aborted) await once(over, 'abort')
  yield* from
}
