import { Writable } from 'node:stream'
import { expect, test } from 'vitest'
import { createLog } from '../log.ts'
import { FakeClock, settle } from '../queue/testing.ts'
import type { Call, Kube, Reply } from './client.ts'
import { eventRecorder, type DropReason } from './events.ts'
import { KubeError } from './errors.ts'
import { thing } from './testing.ts'
import { NotLeading } from './while-leading.ts'

interface Stored {
  readonly metadata: { readonly name: string; readonly namespace: string }
  readonly note: string
  readonly reason: string
}

/** Keeps events by name, as the API server does, and fails when it is told to. */
class Store implements Pick<Kube, 'send'> {
  readonly events = new Map<string, Stored>()
  /** What it fails with; undefined: it does not. */
  failure: Error | undefined
  /** What passes before an answer. */
  takes: (signal?: AbortSignal) => Promise<void> = settle
  /** How many requests are under way, and the most that ever were. */
  busy = 0
  busiest = 0

  async send<T>({ path, body, signal }: Call): Promise<Reply<T>> {
    this.busiest = Math.max(this.busiest, ++this.busy)
    await this.takes(signal).finally(() => (this.busy -= 1))
    if (this.failure) throw this.failure
    const event = body as Stored
    const name = `${path}/${event.metadata.name}`
    if (this.events.has(name)) throw new KubeError('AlreadyExists', 'there')
    this.events.set(name, event)
    return { status: 201, body: event as T, warnings: [] }
  }

  get list(): Stored[] {
    return [...this.events.values()]
  }
}

function start(kube = new Store(), clock = new FakeClock()) {
  const seen = { waiting: 0, dropped: [] as DropReason[], warnings: 0 }
  const recorder = eventRecorder({
    kube,
    clock,
    log: createLog('test', 'warn', new Writable({ write: (_chunk, _, next) => next(void (seen.warnings += 1)) })),
    controller: 'test.dev/test',
    instance: 'x'.repeat(200),
    observer: {
      dropped: (reason) => void seen.dropped.push(reason),
      waits(by) {
        seen.waiting += by
      },
    },
  })
  const record = (message: string, object = thing('a', 1)) =>
    recorder.record({ object, type: 'Warning', reason: 'Broken', message, action: 'Reconcile' })
  /** Lets all that waits be sent, which takes 250 ms. */
  const sent = async () => {
    if (seen.waiting > 0) await clock.advance(250)
    while (seen.waiting > 0) await settle()
  }
  return { kube, clock, recorder, record, seen, sent }
}

test('an event says what happened to what, in the form of events.k8s.io', async () => {
  const { kube, recorder, record } = start()
  record('it broke')
  const { namespace: _, ...metadata } = thing('b', 2).metadata
  record('so did that', { ...thing('b', 2), metadata })
  await recorder.flush()
  expect(kube.list[0]).toEqual({
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name: expect.stringMatching(/^a\.[0-9a-f]{20}$/), namespace: 'shop' },
    eventTime: '2026-01-01T00:00:00.000000Z',
    type: 'Warning',
    reason: 'Broken',
    action: 'Reconcile',
    note: 'it broke',
    regarding: {
      apiVersion: 'test.dev/v1',
      kind: 'Thing',
      namespace: 'shop',
      name: 'a',
      uid: 'a-1',
      resourceVersion: '1',
    },
    reportingController: 'test.dev/test',
    reportingInstance: 'x'.repeat(128),
  })
  expect([...kube.events.keys()][1]).toMatch(/^\/apis\/events.k8s.io\/v1\/namespaces\/default\/events\/b\./)
})

test('an event is held back for a moment, so that it delays nothing that a machine waits for', async () => {
  const { kube, clock, record, seen } = start()
  record('one')
  await clock.advance(249)
  record('two')
  expect([kube.list.length, seen.waiting]).toEqual([0, 2])
  await clock.advance(1)
  expect([kube.list.length, seen.waiting]).toEqual([2, 0])
  record('three')
  await clock.advance(250)
  expect(kube.list).toHaveLength(3)
})

test('a controller that was restarted repeats no event', async () => {
  const kube = new Store()
  for (const { recorder, record, seen } of [start(kube), start(kube)]) {
    record('it broke')
    record('it broke', thing('a', 9))
    await recorder.flush()
    expect(seen).toEqual({ waiting: 0, dropped: [], warnings: 0 })
  }
  expect(kube.list).toHaveLength(1)
})

test('events that differ in what they say, or are about another object of the name, are different', async () => {
  const { kube, recorder, record } = start()
  record('one')
  record('two')
  record('one', thing('a', 1, { uid: 'a-2' }))
  await recorder.flush()
  expect(kube.list).toHaveLength(3)
})

test('the same event is recorded again after an hour', async () => {
  const { kube, clock, record, sent } = start()
  record('it broke')
  await sent()
  kube.events.clear() // As the API server does.
  await clock.advance(3_599_749)
  record('it broke')
  await sent()
  expect(kube.list).toHaveLength(0)
  await clock.advance(1)
  record('it broke')
  await sent()
  expect(kube.list).toHaveLength(1)
})

test('an object has ten events at once and then one a minute, and others have theirs', async () => {
  const { kube, clock, record, seen, sent } = start()
  const burst = async (count: number) => {
    const before = kube.list.length
    for (let index = 0; index < count; index++) record(`${before} ${index}`)
    await sent()
    return kube.list.length - before
  }
  expect(await burst(50)).toBe(10)
  expect(seen).toEqual({ waiting: 0, dropped: Array(40).fill('Throttled'), warnings: 0 })
  await clock.advance(59_749)
  expect(await burst(5)).toBe(0)
  await clock.advance(1)
  expect(await burst(5)).toBe(1)
  record('other', thing('b', 1))
  await sent()
  expect(kube.list).toHaveLength(12)
  await clock.advance(86_400_000)
  expect(await burst(50)).toBe(10)
})

test('four events are sent at a time, one more for each hundred that wait, and sixteen at most', async () => {
  const busiest = async (count: number) => {
    const { kube, recorder, record } = start()
    for (let index = 0; index < count; index++) record('it broke', thing(`a${index}`, 1))
    await recorder.flush()
    expect(kube.list).toHaveLength(count)
    return kube.busiest
  }
  expect(await Promise.all([3, 50, 320, 2_000].map(busiest))).toEqual([3, 4, 7, 16])
})

test('more events than can be sent are dropped, with one warning', async () => {
  const { kube, clock, record, seen, sent } = start()
  const burst = (what: string) => {
    for (let index = 0; index < 11_000; index++) record(what, thing(`a${index}`, 1))
  }
  burst('it broke')
  expect(seen).toEqual({ waiting: 10_000, dropped: Array(1_000).fill('QueueFull'), warnings: 1 })
  const gate = Promise.withResolvers<void>()
  kube.takes = () => gate.promise
  await clock.advance(250)
  for (let index = 0; index < 50; index++) record('it broke', thing(`b${index}`, 1))
  expect([seen.waiting, seen.dropped.length, seen.warnings]).toEqual([10_016, 1_034, 1])
  gate.resolve()
  await sent()
  expect([seen.waiting, kube.list.length]).toEqual([0, 10_016])
  burst('so did that')
  expect(seen.warnings).toBe(2)
})

test('events that cannot be stored harm nobody, and are all counted, with one warning until one is stored', async () => {
  const { kube, record, seen, sent } = start()
  const burst = async (what: string, failure?: Error) => {
    kube.failure = failure
    for (let index = 0; index < 100; index++) record(what, thing(`a${index}`, 1))
    await sent()
    return [kube.list.length, seen.dropped.length, seen.warnings]
  }
  const away = new KubeError('Unreachable', 'away')
  expect(await burst('one', away)).toEqual([0, 100, 1])
  expect(await burst('two', away)).toEqual([0, 200, 1])
  expect(await burst('three')).toEqual([100, 200, 1])
  expect(await burst('four', new KubeError('Forbidden', 'no'))).toEqual([100, 300, 2])
  expect(await burst('five', new KubeError('AlreadyExists', 'there'))).toEqual([100, 300, 2])
  expect(await burst('six', away)).toEqual([100, 400, 3])
  expect(seen).toEqual({ waiting: 0, dropped: Array(400).fill('NotStored'), warnings: 3 })
})

test('events of a process that does not lead are counted apart, without a warning', async () => {
  const { kube, record, recorder, seen, sent } = start()
  kube.failure = new NotLeading('the lease is over')
  record('one')
  await sent()
  record('two')
  await recorder.flush()
  expect(seen).toEqual({ waiting: 0, dropped: ['NotLeading', 'NotLeading'], warnings: 0 })
})

test('a recorder that ends sends for two seconds more, and gives up what still waits then, for good', async () => {
  const { kube, clock, recorder, record, seen } = start()
  kube.takes = (signal) => clock.sleep(300, signal)
  for (let index = 0; index < 5_000; index++) record('it broke', thing(`a${index}`, 1))
  let isOver = false
  const flushed = recorder.flush().then(() => (isOver = true))
  record('too late')
  expect(seen.dropped).toEqual(['Ending'])
  await clock.advance(1_999)
  expect([isOver, kube.list.length]).toEqual([false, 6 * 16])
  await clock.advance(1)
  await flushed
  await clock.advance(60_000)
  expect([kube.list.length, kube.busy]).toEqual([6 * 16, 0])
  expect(seen).toEqual({ waiting: 0, dropped: Array(5_001 - 6 * 16).fill('Ending'), warnings: 1 })
})

test('a recorder that ends waits no longer than it takes to send', async () => {
  const { kube, clock, recorder, record, seen } = start()
  record('it broke')
  await recorder.flush()
  expect([kube.list.length, clock.nextMs]).toEqual([1, 250])
  await clock.advance(250)
  expect(seen).toEqual({ waiting: 0, dropped: [], warnings: 0 })
})

test.each([
  ['x'.repeat(1_024), 'x'.repeat(1_024)],
  ['x'.repeat(1_025), `${'x'.repeat(1_018)}...`],
  ['ü'.repeat(600), `${'ü'.repeat(509)}...`],
  [`x${'ü'.repeat(600)}`, `x${'ü'.repeat(508)}...`],
  ['😀'.repeat(300), `${'😀'.repeat(254)}...`],
])('a message that is too long is cut between characters (%#)', async (message, note) => {
  const { kube, recorder, record } = start()
  record(message)
  await recorder.flush()
  expect(kube.list.map((event) => event.note)).toEqual([note])
})

test('an event of an object with the longest of names has a name that the API server takes', async () => {
  const { kube, recorder, record } = start()
  record('it broke', thing(`${'a'.repeat(199)}.${'b'.repeat(53)}`, 1))
  await recorder.flush()
  expect(kube.list[0]?.metadata.name).toMatch(/^a{199}\.[0-9a-f]{20}$/)
})
