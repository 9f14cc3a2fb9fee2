import { once } from 'node:events'
import type { Resource } from '../../crds/kind.ts'
import { silentLog } from '../log.ts'
import { FakeClock } from '../queue/testing.ts'
import { ObjectCache } from './cache.ts'
import type { Call, Kube, Reply, StreamCall } from './client.ts'
import { KubeError, type KubeErrorCode } from './errors.ts'
import { runReflector, type ReflectorOptions } from './reflector.ts'
import { Thing } from './testing.ts'

/** What a watch says, line by line. A pause is awaited, an error thrown; at its end it hangs, unless it ends there. */
export type Watch = readonly unknown[]
/** Where the server ends the watch. */
export const END = Symbol('end')
/** Time that passes between two lines. */
export class Pause {
  readonly over: () => Promise<void>

  constructor(over: () => Promise<void>) {
    this.over = over
  }
}

/** Lines of a watch. */
export const added = (object: Resource) => ({ type: 'ADDED', object })
export const deleted = (object: Resource) => ({ type: 'DELETED', object })
export const bookmark = (version: number, annotations?: object) => ({
  type: 'BOOKMARK',
  object: { metadata: { resourceVersion: String(version), annotations } },
})
export const listEnd = (version: number) => bookmark(version, { 'k8s.io/initial-events-end': 'true' })
export const expired = { type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' } }
export const fail = (code: KubeErrorCode) => new KubeError(code, 'scripted')

/** An answer to a list. */
export function page(version: number, items: readonly Resource[], next?: string): object {
  return { metadata: { resourceVersion: String(version), ...(next !== undefined && { continue: next }) }, items }
}

/** An API server that follows a script: the n-th watch, and the n-th list. Remembers what it was asked. */
class ScriptedKube implements Pick<Kube, 'send' | 'stream'> {
  readonly asked: string[] = []
  readonly calls: StreamCall[] = []
  readonly sent: Call[] = []
  readonly #watches: Watch[]
  readonly #lists: unknown[]

  constructor(watches: readonly Watch[], lists: readonly unknown[]) {
    this.#watches = [...watches]
    this.#lists = [...lists]
  }

  async send<T>(call: Call): Promise<Reply<T>> {
    const { query = {} } = call
    this.sent.push(call)
    this.asked.push(`list ${String(query['limit'])}${'continue' in query ? ` ${String(query['continue'])}` : ''}`)
    const answer = this.#lists.shift() ?? fail('Unreachable')
    if (answer instanceof Error) throw answer
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the test knows what it scripts
    return { status: 200, body: answer as T, warnings: [] }
  }

  async *stream(call: StreamCall, signal: AbortSignal): AsyncGenerator<unknown, void, undefined> {
    const { query = {} } = call
    this.calls.push(call)
    const isList = query['sendInitialEvents'] === true && query['resourceVersionMatch'] === 'NotOlderThan'
    this.asked.push(isList ? 'watch list' : `watch ${String(query['resourceVersion'])}`)
    for (const line of this.#watches.shift() ?? []) {
      if (line === END) return
      if (line instanceof Error) throw line
      if (line instanceof Pause) await line.over()
      else yield line
    }
    if (!signal.aborted) await once(signal, 'abort')
    signal.throwIfAborted()
  }
}

/** A reflector at work against a script, until it is disposed of. */
export function followScript(
  watches: readonly Watch[],
  lists: readonly unknown[] = [],
  clock = new FakeClock(),
  among?: ReflectorOptions<Resource>['among'],
) {
  const kube = new ScriptedKube(watches, lists)
  const cache = new ObjectCache({})
  const abort = new AbortController()
  const which = { kind: Thing, ...(among && { among }) }
  const ended = runReflector({ kube, ...which, cache, log: silentLog, clock, signal: abort.signal })
  const stop = async () => {
    abort.abort()
    await ended
  }
  const held = () => cache.list().map(({ metadata }) => `${metadata.uid}@${metadata.resourceVersion}`)
  return {
    cache,
    clock,
    held,
    asked: kube.asked,
    calls: kube.calls,
    sent: kube.sent,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
