import type { Kind, Resource } from '../crds/kind.ts'
import { systemClock } from '../lib/clock.ts'
import { ObjectCache } from '../lib/kube/cache.ts'
import type { Kube } from '../lib/kube/client.ts'
import { runReflector } from '../lib/kube/reflector.ts'
import { silentLog } from '../lib/log.ts'

/** All objects of a kind as they change, to wait on. */
export interface Followed<R extends Resource> extends AsyncDisposable {
  readonly objects: ObjectCache<R, never>
  /** Asks after every change, and resolves with the first answer. */
  until<T>(look: (objects: ObjectCache<R, never>) => T | undefined): Promise<T>
}

export function follow<K extends Kind>(kube: Kube, kind: K): Followed<Resource<K>> {
  const cache = new ObjectCache<Resource<K>, never>({})
  const abort = new AbortController()
  const following = runReflector({ kube, kind, cache, log: silentLog, clock: systemClock, signal: abort.signal })
  return {
    objects: cache,
    async until<T>(look: (objects: typeof cache) => T | undefined): Promise<T> {
      const { promise, resolve } = Promise.withResolvers<T>()
      let isLate = false // All that is there is told first: thousands of looks at the same.
      const check = () => {
        const found = isLate ? look(cache) : undefined
        if (found !== undefined) resolve(found)
      }
      const end = cache.onChange(check)
      isLate = true
      check()
      return promise.finally(end)
    },
    async [Symbol.asyncDispose]() {
      abort.abort()
      await following
    },
  }
}

export function isReady({ status }: Resource): boolean {
  return status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') ?? false
}
