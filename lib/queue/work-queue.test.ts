import { describe, expect, test } from 'vitest'
import { FakeClock, seededRandom, settle } from './testing.ts'
import { WorkQueue, type Handler } from './work-queue.ts'

const ONE = { places: 1, patienceMs: Infinity, most: 1 }

/** A queue at work, with what was done and what failed in it. */
function start(handler: Handler, { workers = 4, random = (): number => 1 } = {}) {
  const clock = new FakeClock()
  const failures: { key: string; retryInMs: number }[] = []
  const onFailure = (key: string, _: unknown, retryInMs: number) => failures.push({ key, retryInMs })
  const queue = new WorkQueue({
    clock,
    workers: { places: workers, patienceMs: Infinity, most: workers },
    random,
    onFailure,
  })
  const abort = new AbortController()
  const stopped = queue.run(handler, abort.signal)
  return { queue, clock, failures, stop: () => abort.abort(), stopped }
}

/** A handler whose runs end when the test says so. */
function gate() {
  const runs: string[] = []
  const open: (() => void)[] = []
  const handler = async (key: string) => {
    runs.push(key)
    const { promise, resolve } = Promise.withResolvers<undefined>()
    open.push(() => resolve(undefined))
    await promise
    return {}
  }
  return { handler, runs, release: () => open.shift()?.() }
}

test('WorkQueue runs a key once, however often it was added', async () => {
  const runs: string[] = []
  const { queue } = start(async (key) => {
    runs.push(key)
    return {}
  })
  for (const key of ['a', 'b', 'a', 'a', 'b']) queue.add(key)
  await settle()
  expect(runs).toEqual(['a', 'b'])
})

test('WorkQueue works on a key once at a time, and again when it was added meanwhile', async () => {
  const { handler, runs, release } = gate()
  const { queue } = start(handler)
  queue.add('a')
  await settle()
  queue.add('a')
  queue.add('a')
  await settle()
  expect(runs).toEqual(['a'])
  expect(queue.stats).toMatchObject({ depth: 1, inFlight: 1, retries: 0 })
  release()
  await settle()
  expect(runs).toEqual(['a', 'a'])
  release()
  await settle()
  expect(queue.stats).toMatchObject({ depth: 0, inFlight: 0, retries: 0 })
})

test('WorkQueue works on as many keys at once as it has workers', async () => {
  const { handler, runs, release } = gate()
  const { queue } = start(handler, { workers: 2 })
  for (const key of ['a', 'b', 'c']) queue.add(key)
  await settle()
  expect(runs).toEqual(['a', 'b'])
  release()
  await settle()
  expect(runs).toEqual(['a', 'b', 'c'])
})

describe('WorkQueue, of keys for an idle moment,', () => {
  test('takes those that are next before them', async () => {
    const { handler, runs, release } = gate()
    const { queue } = start(handler, { workers: 1 })
    for (const key of ['idle-1', 'idle-2', 'idle-3']) queue.add(key, 'Idle')
    queue.add('next')
    queue.add('idle-3')
    await settle()
    expect(queue.stats).toMatchObject({ depth: 3, inFlight: 1, retries: 0 })
    for (let run = 0; run < 4; run++) {
      release()
      await settle()
    }
    expect(runs).toEqual(['next', 'idle-3', 'idle-1', 'idle-2'])
  })

  test('leaves none waiting for ever, however many others come', async () => {
    const runs: string[] = []
    const { queue } = start(async (key) => {
      runs.push(key)
      if (runs.length < 100) queue.add(`next-${runs.length}`)
      return {}
    })
    queue.add('next-0')
    queue.add('idle', 'Idle')
    await settle()
    expect(runs).toContain('idle')
    expect(runs.indexOf('idle')).toBeGreaterThan(5)
  })

  test('runs one again that was added while it was worked on, in the sooner of its turns', async () => {
    const { handler, runs, release } = gate()
    const { queue } = start(handler, { workers: 1 })
    queue.add('a', 'Idle')
    await settle()
    queue.add('a')
    queue.add('a', 'Idle')
    queue.add('b', 'Idle')
    release()
    await settle()
    expect(runs).toEqual(['a', 'a'])
    queue.addAfter('b', 0)
    release()
    await settle()
    expect(runs).toEqual(['a', 'a', 'b'])
  })
})

test('WorkQueue lets the earliest of several times win', async () => {
  const runs: number[] = []
  const { queue, clock } = start(async () => {
    runs.push(clock.monotonicMs())
    return {}
  })
  queue.addAfter('a', 5_000)
  queue.addAfter('a', 1_000)
  queue.addAfter('a', 3_000)
  await clock.advance(10_000)
  expect(runs).toEqual([1_000])
})

test('WorkQueue looks again when the handler asks for it, unless there was an event before', async () => {
  const runs: number[] = []
  const { queue, clock } = start(async () => {
    runs.push(clock.monotonicMs())
    return runs.length < 3 ? { retryAfterMs: 1_000 } : {}
  })
  queue.add('a')
  await clock.advance(500)
  queue.add('a')
  await clock.advance(10_000)
  expect(runs).toEqual([0, 500, 1_500])
})

test('WorkQueue backs off from a key that fails, up to five minutes, and forgets it at success', async () => {
  let broken = true
  const { queue, clock, failures } = start(async () => {
    if (broken) throw new Error('broken')
    return {}
  })
  queue.add('a')
  await clock.advance(3_600_000)
  const waits = failures.map(({ retryInMs }) => retryInMs)
  expect(waits.slice(0, 4)).toEqual([200, 400, 800, 1_600])
  expect(Math.max(...waits)).toBe(300_000)
  expect(queue.stats.retries).toBe(1)

  broken = false
  await clock.advance(300_000)
  expect(queue.stats.retries).toBe(0)
  broken = true
  queue.add('a')
  await clock.advance(0)
  expect(failures.at(-1)).toEqual({ key: 'a', retryInMs: 200 })
})

test('WorkQueue spreads its back-off over half of it', async () => {
  const fail: Handler = () => Promise.reject(new Error('broken'))
  const { queue, clock, failures } = start(fail, { random: () => 0 })
  queue.add('a')
  await clock.advance(0)
  expect(failures).toEqual([{ key: 'a', retryInMs: 100 }])
})

test('WorkQueue stops taking keys when aborted, and ends when the handlers have', async () => {
  const { handler, runs, release } = gate()
  const { queue, stop, stopped } = start(handler, { workers: 1 })
  queue.add('a')
  queue.add('b')
  await settle()
  stop()
  let ended = false
  void stopped.finally(() => (ended = true))
  await settle()
  expect(ended).toBe(false)
  release()
  await stopped
  expect(runs).toEqual(['a'])
})

test('WorkQueue keeps keys that are added before it runs', async () => {
  const clock = new FakeClock()
  const queue = new WorkQueue({ clock, workers: ONE, onFailure: () => undefined })
  const runs: string[] = []
  queue.add('a')
  queue.addAfter('b', 100)
  void queue.run(async (key) => {
    runs.push(key)
    return {}
  }, new AbortController().signal)
  await clock.advance(100)
  expect(runs).toEqual(['a', 'b'])
})

test('WorkQueue has one timer for ten thousand keys', async () => {
  let runs = 0
  const { queue, clock } = start(async () => {
    runs++
    return {}
  })
  for (let index = 0; index < 10_000; index++) queue.addAfter(`key-${index}`, 10_000 - index)
  await settle()
  expect(clock.sleeping).toBe(1)
  await clock.advance(10)
  expect(runs).toBe(10)
})

test('WorkQueue lets the event loop turn while thousands of quick handlers run', async () => {
  let turns = 0
  const runs = { count: 0 }
  const { queue } = start(async () => {
    runs.count++
    return {}
  })
  for (let index = 0; index < 1_000; index++) queue.add(`key-${index}`)
  while (runs.count < 1_000) {
    await settle()
    turns++
  }
  expect(turns).toBeGreaterThan(10)
})

test.each([1, 2, 3, Date.now() % 1e6])(
  'WorkQueue loses no key and runs none twice at a time (seed %i)',
  async (seed) => {
    const random = seededRandom(seed)
    const at = new Map<string, number>()
    let step = 0
    const running = new Set<string>()
    const { queue, clock, stop, stopped } = start(
      async (key) => {
        expect(running.has(key)).toBe(false)
        running.add(key)
        const seen = step
        await clock.sleep(Math.floor(random() * 50))
        running.delete(key)
        if (random() < 0.2) throw new Error('broken')
        // Whatever was asked for after this run began is still owed.
        if ((at.get(key) ?? 0) <= seen) at.delete(key)
        return random() < 0.1 ? { retryAfterMs: 20 } : {}
      },
      { random },
    )
    for (step = 1; step < 300; step++) {
      const key = `key-${Math.floor(random() * 10)}`
      at.set(key, step)
      if (random() < 0.7) queue.add(key)
      else queue.addAfter(key, Math.floor(random() * 100))
      if (random() < 0.5) await clock.advance(Math.floor(random() * 20))
    }
    await clock.advance(3_600_000)
    expect([...at.keys()]).toEqual([])
    expect(queue.stats).toMatchObject({ depth: 0, inFlight: 0, retries: 0 })
    stop()
    await stopped
  },
)

test('WorkQueue tells how long keys wait and are worked on, with the time in which they wait behind themselves', async () => {
  const clock = new FakeClock()
  const told: (readonly [string, number?])[] = []
  const observer = {
    added: () => told.push(['added']),
    started: (waitedMs: number) => told.push(['started', waitedMs]),
    ended: (tookMs: number) => told.push(['ended', tookMs]),
    retried: () => told.push(['retried']),
  }
  const { handler, release } = gate()
  const queue = new WorkQueue({ clock, workers: ONE, onFailure: () => undefined, observer })
  const abort = new AbortController()
  queue.add('a')
  queue.add('a')
  await clock.advance(30)
  const running = queue.run(handler, abort.signal)
  await settle()
  await clock.advance(50)
  queue.add('a')
  await clock.advance(20)
  expect(queue.stats).toMatchObject({ depth: 1, unfinishedMs: 70, longestMs: 70 })
  release()
  await settle()
  expect(told).toEqual([['added'], ['started', 30], ['added'], ['ended', 70], ['started', 20]])
  release()
  abort.abort()
  await running
  expect(queue.stats).toMatchObject({ depth: 0, unfinishedMs: 0, longestMs: 0 })
})

test('WorkQueue tells of a handler that threw', async () => {
  const clock = new FakeClock()
  const told: string[] = []
  const observer = {
    added: () => undefined,
    started: () => undefined,
    ended: () => told.push('ended'),
    retried: () => told.push('retried'),
  }
  const queue = new WorkQueue({ clock, workers: ONE, onFailure: () => undefined, observer })
  const abort = new AbortController()
  const running = queue.run(() => Promise.reject(new Error('no')), abort.signal)
  queue.add('a')
  await settle()
  expect(told).toEqual(['retried', 'ended'])
  abort.abort()
  await running
})
