import { afterEach, describe, expect, test } from 'vitest'
import type { Clock } from '../clock.ts'
import { silentLog } from '../log.ts'
import { FakeClock, seededRandom, settle } from '../queue/testing.ts'
import { runElector } from './lease.ts'
import type { Leadership } from './leadership.ts'
import { FakeLeases, type Link } from './testing-lease.ts'
import { whileLeading } from './while-leading.ts'

interface Stander {
  readonly link: Link
  /** Everything that it was leader of, the latest last. */
  readonly leaderships: Leadership[]
  readonly stop: () => void
  readonly running: Promise<void>
  /** The work goes on for so long after it was to end. */
  drainMs: number
  /** Whether it leads, as it thinks. */
  leads(): boolean
  now(): Leadership
}

class World {
  readonly clock = new FakeClock()
  readonly leases = new FakeLeases(this.clock)
  readonly standers: Stander[] = []
  /** Processes that are known to be dead. */
  readonly dead = new Set<string>()

  stand(identity: string, clock: Clock = this.clock): Stander {
    const { link, send } = this.leases.client()
    const abort = new AbortController()
    const leaderships: Leadership[] = []
    const lead = async (leadership: Leadership) => {
      leaderships.push(leadership)
      await untilAborted(leadership.signal)
      await clock.sleep(stander.drainMs)
    }
    const running = runElector(
      {
        kube: { send },
        lease: { namespace: 'holdfast-system', name: 'leader' },
        identity,
        clock,
        log: silentLog,
        signal: abort.signal,
        hasEnded: async (name) => this.dead.has(name),
        random: seededRandom(identity.charCodeAt(0)),
      },
      lead,
    )
    const now = () => {
      const last = leaderships.at(-1)
      if (!last) throw new Error(`${identity} never led`)
      return last
    }
    const stander: Stander = {
      link,
      leaderships,
      running,
      drainMs: 0,
      stop: () => abort.abort(),
      now,
      leads: () => (leaderships.at(-1)?.leftMs() ?? 0) > 0,
    }
    this.standers.push(stander)
    return stander
  }

  /** Two candidates, of whom the first leads. */
  async pair(): Promise<[Stander, Stander]> {
    const first = this.stand('a')
    await settle()
    const second = this.stand('b')
    await this.clock.advance(5_000)
    if (!first.leads() || second.leads()) throw new Error('the first does not lead')
    return [first, second]
  }

  /** Moves on in small steps. At most one thinks that it leads, at any time. */
  async advance(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 100) {
      await this.clock.advance(100)
      if (this.standers.filter((stander) => stander.leads()).length > 1) throw new Error('two lead')
    }
  }

  async end(): Promise<void> {
    for (const { stop, link } of this.standers) {
      stop()
      link.answerMs = 0
    }
    await this.clock.advance(60_000)
    await Promise.all(this.standers.map(({ running }) => running))
    if (this.clock.sleeping > 0) throw new Error('somebody still sleeps')
  }
}

let world = new World()
const fresh = () => (world = new World())
afterEach(async () => {
  await world.end()
  fresh()
})

describe('Leader', () => {
  test('is the first who asks, with a term that is stored, and stays it', async () => {
    const [first, second] = await world.pair()
    await world.advance(300_000)
    expect([first.leaderships.length, second.leaderships.length]).toEqual([1, 0])
    expect([world.leases.holder, world.leases.term, first.now().term]).toEqual(['a', 1, 1])
    // Every three seconds, with jitter.
    expect(world.leases.writes).toBeGreaterThan(80)
    expect(world.leases.writes).toBeLessThan(140)
  })

  test('that is cut off gives up after 10 s, and another one leads within 20 s, in a greater term', async () => {
    const [first, second] = await world.pair()
    first.link.isCut = true
    await world.advance(7_500)
    expect([first.leads(), first.now().signal.aborted]).toEqual([true, false])
    await world.advance(2_600)
    expect([first.now().leftMs(), first.now().signal.aborted]).toEqual([0, true])
    await world.advance(8_000)
    expect([second.leads(), second.now().term, world.leases.term]).toEqual([true, 2, 2])

    first.link.isCut = false
    await world.advance(60_000)
    expect([first.leaderships.length, second.leads()]).toEqual([1, true])
  })

  test.each([0, 700, 1_400, 2_100, 2_800])(
    'that is dead %d ms after a look is followed within 19 s, however the looks of the next one fall',
    async (afterMs) => {
      const [first, second] = await world.pair()
      await world.advance(afterMs)
      first.link.isCut = true
      const cutMs = world.clock.monotonicMs()
      while (!second.leads() && world.clock.monotonicMs() - cutMs < 30_000) await world.clock.advance(50)
      // A renewal just before, seen up to 3.6 s later; the lease of 15 s; and no wait beyond it.
      expect(world.clock.monotonicMs() - cutMs).toBeLessThan(19_000)
    },
  )

  test('goes on when single renewals are lost on the way there or back', async () => {
    const [first] = await world.pair()
    for (const fault of ['isCut', 'isDeaf'] as const) {
      first.link[fault] = true
      await world.advance(4_000)
      first.link[fault] = false
      await world.advance(10_000)
    }
    expect([first.leads(), first.leaderships.length, world.leases.term]).toEqual([true, 1, 1])
  })

  test('counts a renewal from when it was sent, however late its answer comes', async () => {
    const [first] = await world.pair()
    first.link.answerMs = 4_000
    await world.advance(20_000)
    expect(first.leaderships).toHaveLength(1)
    const left: number[] = []
    for (let second = 0; second < 30; second++) {
      await world.advance(1_000)
      left.push(first.now().leftMs())
    }
    expect(Math.max(...left)).toBeLessThanOrEqual(14_700 - 4_000)
    expect(Math.max(...left)).toBeGreaterThan(9_000)
    expect(Math.min(...left)).toBeGreaterThan(5_000)
  })

  test('that never gets an answer in time leads no more, though the server stores its renewals', async () => {
    const [first, second] = await world.pair()
    first.link.answerMs = 6_000
    await world.advance(60_000)
    expect([first.leaderships.length, second.leads()]).toEqual([1, true])
  })

  test('is none who takes the lease with an answer that comes too late', async () => {
    const first = world.stand('a')
    first.link.answerMs = 4_900
    await world.advance(9_000)
    first.link.answerMs = 0
    await world.advance(20_000)
    expect(first.leads()).toBe(true)
    expect(first.now().term).toBe(world.leases.term)
  })

  test('gives up at once when another process has the lease', async () => {
    const [first, second] = await world.pair()
    world.leases.put({ holderIdentity: 'c', leaseTransitions: 7, leaseDurationSeconds: 15 })
    await world.advance(2_500)
    expect(first.leads()).toBe(false)
    await world.advance(11_000)
    expect([first.leaderships.length, second.leaderships.length]).toEqual([1, 0])
    await world.advance(7_000)
    expect([...first.leaderships, ...second.leaderships].map(({ term }) => term)).toEqual([1, 8])
  })

  test('gives up when the lease is deleted, and the next term is greater all the same', async () => {
    const [first, second] = await world.pair()
    world.leases.put({ holderIdentity: 'a', leaseTransitions: 41, leaseDurationSeconds: 15 })
    await world.advance(5_000)
    expect(first.now().term).toBe(41)
    world.leases.delete()
    await world.advance(30_000)
    expect(first.leads()).not.toBe(second.leads())
    expect(world.leases.term).toBe(42)
  })

  test('that is stopped ends its work first, then releases the lease, and the next one leads at once', async () => {
    const [first, second] = await world.pair()
    first.drainMs = 30_000
    first.stop()
    await world.advance(29_000)
    expect([first.now().signal.aborted, first.leads(), second.leads()]).toEqual([true, true, false])
    await world.advance(4_000)
    expect([first.leads(), second.leads(), second.now().term]).toEqual([false, true, 2])
    await first.running
  })

  test('who surely has ended is not waited for', async () => {
    const [first, second] = await world.pair()
    first.link.isCut = true
    world.dead.add('a')
    await world.clock.advance(2_500)
    expect([second.leads(), second.now().term]).toEqual([true, 2])
  })

  test('is not affected by wall clocks, nor by times in the lease', async () => {
    let jumpMs = 0
    const now = () => new Date(world.clock.now().getTime() + jumpMs)
    const first = world.stand('a', {
      now,
      sleep: world.clock.sleep,
      monotonicMs: world.clock.monotonicMs,
    })
    await settle()
    const second = world.stand('b')
    for (const days of [1, -1, 400, -4_000]) {
      jumpMs = days * 86_400_000
      await world.advance(20_000)
    }
    expect([first.leads(), first.leaderships.length, second.leaderships.length]).toEqual([true, 1, 0])
  })

  test('that stood still meanwhile is leader no more before it does anything', async () => {
    let frozen: number | undefined
    const monotonicMs = () => frozen ?? world.clock.monotonicMs()
    const wake = Promise.withResolvers<undefined>()
    const sleep: Clock['sleep'] = async (ms, signal) => {
      await world.clock.sleep(ms, signal)
      if (frozen !== undefined) await wake.promise
    }
    const first = world.stand('a', { now: world.clock.now, monotonicMs, sleep })
    await settle()
    const second = world.stand('b')
    await world.clock.advance(5_000)
    frozen = world.clock.monotonicMs()
    await world.clock.advance(30_000)
    expect(second.leads()).toBe(true)
    frozen = undefined
    expect(first.now().leftMs()).toBe(0)
    wake.resolve(undefined)
    await world.advance(20_000)
    expect([first.leaderships.length, second.leads(), world.leases.holder]).toEqual([1, true, 'b'])
  })
})

describe('Term', () => {
  test('is raised above one that somebody knows of, and stored before it counts', async () => {
    const [first] = await world.pair()
    first.link.isCut = true
    first.now().outbid(9)
    await world.clock.advance(1_000)
    expect([first.now().term, world.leases.term]).toEqual([1, 1])
    first.link.isCut = false
    await world.advance(8_000)
    expect([first.now().term, world.leases.term, first.leaderships.length]).toEqual([10, 10, 1])
  })

  test('is raised without waiting for the next renewal', async () => {
    const [first] = await world.pair()
    first.now().outbid(9)
    first.now().outbid(3)
    await settle()
    expect([first.now().term, world.leases.term]).toEqual([10, 10])
  })

  test('is not raised by one who leads no more', async () => {
    const [first, second] = await world.pair()
    first.link.isCut = true
    await world.advance(20_000)
    first.link.isCut = false
    first.now().outbid(9)
    await world.advance(5_000)
    expect([second.now().term, world.leases.term]).toEqual([2, 2])
  })

  test('never goes back, even if the lease does', async () => {
    const [first] = await world.pair()
    first.now().outbid(9)
    await settle()
    world.leases.put({ holderIdentity: 'a', leaseTransitions: 3, leaseDurationSeconds: 15 })
    await world.advance(5_000)
    expect([first.now().term, world.leases.term]).toEqual([10, 10])
  })
})

describe('Write', () => {
  test('goes out with a deadline before the end of the lease, and not with less than a second of it', async () => {
    let leftMs = 14_000
    const sent: (number | undefined)[] = []
    const send = async (call: { deadlineMs?: number }) => {
      sent.push(call.deadlineMs)
      return { status: 200, body: undefined as never, warnings: [] }
    }
    const guarded = whileLeading({ send }, { leftMs: () => leftMs })
    const patch = { method: 'PATCH', path: '/' } as const
    await guarded.send(patch)
    await guarded.send({ ...patch, deadlineMs: 5_000 })
    leftMs = 900
    await expect(guarded.send(patch)).rejects.toMatchObject({ name: 'NotLeading' })
    await guarded.send({ method: 'GET', path: '/' })
    expect(sent).toEqual([14_000, 5_000, undefined])
  })
})

async function untilAborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  signal.addEventListener('abort', () => resolve(undefined))
  if (signal.aborted) resolve(undefined)
  await promise
}
