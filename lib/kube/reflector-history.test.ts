import { expect, test } from 'vitest'
import { FakeClock, settle } from '../queue/testing.ts'
import {
  added,
  bookmark,
  deleted,
  END,
  expired,
  fail,
  followScript,
  listEnd,
  page,
  Pause,
  type Watch,
} from './testing-reflector.ts'
import { thing } from './testing.ts'

/** A stall is found, and then this passes before the next list. */
const FIRST_RETRY_MS = 250
const backUp: Watch = [added(thing('a', 3)), added(thing('gone', 4)), listEnd(5), added(thing('c', 6))]

test('a reflector keeps what it knows while lists are older, as those of a server that lags behind', async () => {
  await using reflector = followScript(
    [
      [added(thing('a', 3)), added(thing('b', 9)), listEnd(90), fail('Unreachable')],
      ...Array.from({ length: 8 }, () => backUp),
      [added(thing('a', 3)), added(thing('b', 91)), listEnd(92)],
    ],
    [page(5, [])],
  )
  await settle()
  while (reflector.asked.length < 10) {
    expect(reflector.held()).toEqual(['a-1@3', 'b-1@9'])
    await reflector.clock.advance(100)
  }
  await reflector.clock.advance(2_000)
  expect(reflector.held()).toEqual(['a-1@3', 'b-1@91'])
})

test('a reflector believes a server whose history went back, once that lasts', async () => {
  await using reflector = followScript(
    [
      [added(thing('a', 3)), added(thing('b', 9)), listEnd(90), fail('Unreachable')],
      ...Array.from({ length: 100 }, () => backUp),
    ],
    [page(5, [])],
  )
  await reflector.clock.advance(30_000)
  expect(reflector.held()).toEqual(['a-1@3', 'b-1@9'])
  await reflector.clock.advance(3_000)
  expect(reflector.held()).toEqual(['a-1@3', 'gone-1@4', 'c-1@6'])
})

test('a reflector finds with a later list what an earlier one lacked', async () => {
  const clock = new FakeClock()
  await using reflector = followScript(
    [
      [added(thing('a', 3)), added(thing('b', 4)), listEnd(7), expired],
      [added(thing('b', 4)), listEnd(9), new Pause(() => clock.sleep(700_000)), bookmark(10)],
      [added(thing('a', 3)), added(thing('b', 4)), listEnd(11)],
    ],
    [],
    clock,
  )
  await settle()
  expect(reflector.held()).toEqual(['b-1@4'])
  await clock.advance(700_000)
  expect(reflector.held()).toEqual(['b-1@4', 'a-1@3'])
})

test('a reflector never takes again from a list what it was told is deleted', async () => {
  await using reflector = followScript([
    [added(thing('a', 3)), listEnd(7), deleted(thing('a', 9)), expired],
    [added(thing('a', 3)), listEnd(9)],
  ])
  await settle()
  expect(reflector.held()).toEqual([])
})

test('a reflector takes again from a list what was deleted in another history, which a restored etcd has overtaken', async () => {
  await using reflector = followScript([
    [added(thing('a', 3)), listEnd(7), deleted(thing('a', 9)), expired],
    [added(thing('a', 3)), listEnd(12)],
  ])
  await settle()
  expect(reflector.held()).toEqual(['a-1@3'])
})

test('a reflector does not take again what is deleted while the list streams in', async () => {
  await using reflector = followScript([
    [added(thing('a', 3)), listEnd(7), deleted(thing('a', 9)), expired],
    [added(thing('a', 3)), deleted(thing('a', 9)), listEnd(12)],
  ])
  await settle()
  expect(reflector.held()).toEqual([])
})

test('a reflector asks for watches whose silence is found within a minute', async () => {
  await using reflector = followScript([[listEnd(7), END], []])
  await settle()
  expect(reflector.calls).toHaveLength(2)
  for (const { stallMs = Infinity, query = {} } of reflector.calls) {
    expect(stallMs).toBeLessThan(60_000 - FIRST_RETRY_MS)
    // A watch of which nothing changes ends before.
    expect(Number(query['timeoutSeconds']) * 1_000).toBeLessThan(stallMs - 5_000)
  }
})
