import type { Kind, Resource } from '../crds/kind.ts'
import { systemClock } from '../lib/clock.ts'
import { ObjectCache } from '../lib/kube/cache.ts'
import type { Kube } from '../lib/kube/client.ts'
import { runReflector } from '../lib/kube/reflector.ts'
import { silentLog } from '../lib/log.ts'

/** What has not come by then never comes. */
const LIMIT_MS = 3_600_000

/** What was waited for has not come. */
export class NeverCame extends Error {}

/** All objects of a kind as they change, to wait on. */
export interface Followed<R extends Resource> extends AsyncDisposable {
  readonly objects: ObjectCache<R, never>
  /** Asks after every change, and resolves with the first answer. Throws `NeverCame` after an hour. */
  until<T>(look: (objects: ObjectCache<R, never>) => T | undefined): Promise<T>
}

export function follow<K extends Kind>(kube: Kube, kind: K): Followed<Resource<K>> {
  const cache = new ObjectCache<Resource<K>, never>({})
  const abort = new AbortController()
  const following = runReflector({ kube, kind, cache, log: silentLog, clock: systemClock, signal: abort.signal })
  return {
    objects: cache,
    async until<T>(look: (objects: typeof cache) => T | undefined): Promise<T> {
      const { promise, resolve, reject } = Promise.withResolvers<T>()
      let isLate = false // All that is there is told first: thousands of looks at the same.
      const check = () => {
        const found = isLate ? look(cache) : undefined
        if (found !== undefined) resolve(found)
      }
      const end = cache.onChange(check)
      isLate = true
      check()
      const tooLate = () => reject(new NeverCame(`what the ${kind.plural} were to become has not come within an hour`))
      const limit = setTimeout(tooLate, LIMIT_MS)
      return promise.finally(() => {
        clearTimeout(limit)
        end()
      })
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
