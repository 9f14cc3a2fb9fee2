import { afterEach, expect, test } from 'vitest'
import { FakeClock, settle } from '../queue/testing.ts'
import {
  added,
  bookmark,
  deleted,
  END,
  expired,
  fail,
  listEnd,
  page,
  Pause,
  followScript,
} from './testing-reflector.ts'
import { thing } from './testing.ts'

const running: AsyncDisposable[] = []
afterEach(async () => {
  for (const each of running.splice(0)) await each[Symbol.asyncDispose]()
})

/** Ends with its test. */
function follow(...script: Parameters<typeof followScript>) {
  const followed = followScript(...script)
  running.push(followed)
  return followed
}

test('a reflector that follows some of a kind asks for no others, by watch and by list', async () => {
  const among = { namespace: 'ours', labelSelector: 'of=a' }
  const { calls, sent } = follow([[fail('Invalid')]], [page(7, [thing('a', 3)])], new FakeClock(), among)
  await settle()
  const asked = [...calls, ...sent].map(({ path, query }) => [path, query?.['labelSelector']])
  expect(asked).toEqual([1, 2, 3].map(() => ['/apis/test.dev/v1/namespaces/ours/things', 'of=a']))
})

test('a reflector has the cache follow a streamed list and what comes after it', async () => {
  const { cache, held } = follow([
    [
      added(thing('a', 3)),
      added(thing('b', 5)),
      listEnd(7),
      { type: 'MODIFIED', object: thing('a', 8) },
      deleted(thing('b', 9)),
      added(thing('b', 10, { uid: 'b-2' })),
    ],
  ])
  await settle()
  expect(cache.isSynced).toBe(true)
  expect(held()).toEqual(['a-1@8', 'b-2@10'])
})

test('a reflector is not synced before the end of a list, and drops nothing when it is broken off', async () => {
  const { cache, held, clock, asked } = follow([
    [added(thing('a', 3)), bookmark(4), END],
    [added(thing('b', 4)), listEnd(7)],
  ])
  await settle()
  expect([cache.isSynced, held()]).toEqual([false, ['a-1@3']])
  await clock.advance(250)
  expect([cache.isSynced, held()]).toEqual([true, ['b-1@4']])
  expect(asked).toEqual(['watch list', 'watch list'])
})

test.each([
  ['an event', added(thing('a', 8)), 'watch 8'],
  ['a bookmark', bookmark(9), 'watch 9'],
  ['an older event', added(thing('a', 5)), 'watch 7'],
])('a reflector resumes where the server ended the watch, after %s', async (_name, line, next) => {
  const { held, asked } = follow([[listEnd(7), line, END], [added(thing('b', 20))]])
  await settle()
  expect(asked).toEqual(['watch list', next])
  expect(held()).toContain('b-1@20')
})

test('a reflector lists at once when its version has expired', async () => {
  const { held, asked, clock } = follow([
    [added(thing('a', 3)), listEnd(7), END],
    [expired],
    [added(thing('b', 20)), listEnd(30)],
  ])
  await settle()
  expect([clock.sleeping, held()]).toEqual([0, ['b-1@20']])
  expect(asked).toEqual(['watch list', 'watch 7', 'watch list'])
})

test('a reflector backs off from a server whose versions expire again and again', async () => {
  const { clock, asked } = follow([[expired], [expired], [expired]])
  await settle()
  expect(asked).toHaveLength(2)
  expect(clock.nextMs).toBeGreaterThanOrEqual(125)
  expect(clock.nextMs).toBeLessThanOrEqual(250)
})

test.each([
  ['Unreachable', [250, 500, 1_000, 1_000, 1_000]],
  ['Timeout', [250, 500, 1_000, 1_000]],
  ['Forbidden', [250, 500, 1_000, 2_000, 4_000, 4_000, 4_000]],
] as const)('a reflector backs off from %s, with jitter', async (code, delays) => {
  const { clock, asked } = follow(delays.map(() => [fail(code)]))
  await settle()
  for (const [index, delayMs] of delays.entries()) {
    expect(asked).toHaveLength(index + 1)
    expect(clock.nextMs).toBeGreaterThanOrEqual(delayMs / 2)
    expect(clock.nextMs).toBeLessThanOrEqual(delayMs)
    await clock.advance(clock.nextMs ?? 0)
  }
})

test.each([
  ['that was away is back', 'Unreachable'],
  ['whose watch went silent answers again', 'Timeout'],
] as const)('a reflector resumes where it was when a server %s', async (_name, code) => {
  const { clock, held, asked } = follow(
    [[added(thing('a', 3)), listEnd(7), fail(code)], [added(thing('b', 8))]],
    [fail(code), page(7, [])],
  )
  await clock.advance(10_000)
  expect(asked).toEqual(['watch list', 'list 1', 'list 1', 'watch 7'])
  expect(held()).toEqual(['a-1@3', 'b-1@8'])
})

test('a reflector that the server has no time for keeps its place', async () => {
  const { clock, asked } = follow([[listEnd(7), END], [fail('TooManyRequests')]], [page(9, [])])
  await clock.advance(1_000)
  expect(asked).toEqual(['watch list', 'watch 7', 'list 1', 'watch 7'])
})

test('a reflector lists at once when its version expired while the server was away, however long', async () => {
  const away = Array.from({ length: 20 }, () => fail('Unreachable'))
  const { clock, held, asked } = follow(
    [[added(thing('a', 3)), listEnd(7), fail('Unreachable')], [expired], [listEnd(90)]],
    [...away, page(90, [])],
  )
  while (!asked.includes('watch 7')) await clock.advance(100)
  expect([asked.at(-1), held()]).toEqual(['watch list', []])
})

test('a reflector lists when a bookmark is older than what it has', async () => {
  const { held, asked } = follow([[added(thing('a', 3)), listEnd(7), bookmark(6)], [listEnd(8)]])
  await settle()
  expect([asked, held()]).toEqual([['watch list', 'watch list'], []])
})

test.each([
  ['no event', 'text'],
  ['an event of an unknown type', { type: 'RENAMED', object: thing('x', 8) }],
  ['an object without metadata', { type: 'ADDED', object: {} }],
  ['a version that is no number', added(thing('x', 8, { resourceVersion: 'x' }))],
  ['a bookmark of nothing', { type: 'BOOKMARK', object: {} }],
])('a reflector skips %s', async (_name, line) => {
  const { held, asked } = follow([[line, listEnd(7), line, added(thing('a', 9))]])
  await settle()
  expect([held(), asked]).toEqual([['a-1@9'], ['watch list']])
})

test('a reflector goes on when somebody who listens throws', async () => {
  const { cache, held, asked } = follow([[listEnd(7), added(thing('a', 8)), added(thing('b', 9))]])
  cache.onChange((_, after) => {
    if (after?.metadata.name === 'a') throw new Error('broken')
  })
  await settle()
  expect([held(), asked]).toEqual([['a-1@8', 'b-1@9'], ['watch list']])
})

test.each(['BadRequest', 'Invalid'] as const)(
  'a reflector lists page by page where a streamed list is %s',
  async (code) => {
    const { cache, held, asked, clock } = follow(
      [[fail(code)], [added(thing('d', 12)), expired], [added(thing('f', 30))]],
      [page(9, [thing('a', 1), thing('b', 2)], 'more'), page(9, [thing('c', 3)]), page(20, [thing('e', 15)])],
    )
    await settle()
    expect(cache.isSynced).toBe(true)
    expect(held()).toEqual(['e-1@15', 'f-1@30'])
    expect(asked).toEqual(['watch list', 'list 500', 'list 500 more', 'watch 9', 'list 500', 'watch 20'])
    expect(clock.sleeping).toBe(0)
  },
)

test('a reflector begins a list anew whose pages expire', async () => {
  const { cache, held } = follow(
    [[fail('BadRequest')]],
    [page(9, [thing('a', 1)], 'more'), fail('Expired'), page(10, [thing('b', 2)])],
  )
  await settle()
  expect([cache.isSynced, held()]).toEqual([true, ['b-1@2']])
})

test('a reflector backs off from a server that ends every watch at once', async () => {
  const { clock, asked } = follow([[listEnd(7), END], [END], [END]], [page(7, []), page(7, [])])
  await settle()
  expect([asked.length, clock.sleeping]).toEqual([2, 1])
})

test('a reflector lists again every ten minutes, to the end, and so finds what it was never told', async () => {
  const clock = new FakeClock()
  const { held, asked } = follow(
    [
      [added(thing('a', 3)), added(thing('lost', 4)), listEnd(7), new Pause(() => clock.sleep(700_000)), bookmark(8)],
      [added(thing('a', 3)), added(thing('b', 5)), listEnd(9)],
    ],
    [],
    clock,
  )
  await clock.advance(699_999)
  expect(held()).toEqual(['a-1@3', 'lost-1@4'])
  await clock.advance(1)
  expect(held()).toEqual(['a-1@3', 'b-1@5'])
  expect(asked).toEqual(['watch list', 'watch list'])
})

test('a reflector ends when it is told to, also while it waits', async () => {
  const { stop, clock } = follow([[fail('Unreachable')]])
  await settle()
  expect(clock.sleeping).toBe(1)
  await stop()
  expect(clock.sleeping).toBe(0)
})
