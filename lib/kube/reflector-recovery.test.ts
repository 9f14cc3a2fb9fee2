import { expect, test } from 'vitest'
import { silentLog } from '../log.ts'
import { FakeClock, settle } from '../queue/testing.ts'
import { ObjectCache } from './cache.ts'
import { toKubeError } from './errors.ts'
import { runReflector } from './reflector.ts'
import { Thing, thing } from './testing.ts'

const STEP_MS = 100
const FAULT_MS = 60_000
const listEnd = { resourceVersion: '7', annotations: { 'k8s.io/initial-events-end': 'true' } }

test.each([[500], [503], [429]])('a cache equals a fresh list within 5 s after a minute of HTTP %i', async (status) => {
  const clock = new FakeClock()
  const cache = new ObjectCache<ReturnType<typeof thing>>({})
  const abort = new AbortController()
  let isWell = false
  const failIfIll = () => {
    if (!isWell) throw toKubeError(status, { kind: 'Status', code: status })
  }
  const kube = {
    send: async () => {
      failIfIll()
      throw new Error('it is watched, not listed')
    },
    async *stream(_call: unknown, signal: AbortSignal) {
      failIfIll()
      yield { type: 'ADDED', object: thing('a', 3) }
      yield { type: 'BOOKMARK', object: { metadata: listEnd } }
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    },
  }
  const ended = runReflector({ kube, kind: Thing, cache, log: silentLog, clock, signal: abort.signal })
  await settle()
  for (let ms = 0; ms < FAULT_MS; ms += STEP_MS) await clock.advance(STEP_MS)
  isWell = true
  let tookMs = 0
  for (; !cache.isSynced && tookMs < FAULT_MS; tookMs += STEP_MS) await clock.advance(STEP_MS)
  abort.abort()
  await ended
  expect(tookMs).toBeLessThanOrEqual(5_000)
})
