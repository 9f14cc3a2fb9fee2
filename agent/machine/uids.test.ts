import { expect, test } from 'vitest'
import { newUids } from './uids.ts'

test('Each machine has a user of its own, always the same one', () => {
  const uids = newUids(5000)
  expect(['a', 'b', 'a'].map((id) => uids.take(id))).toEqual([5000, 5001, 5000])
})

test('User that a machine has from before is given to no other', () => {
  const uids = newUids(5000)
  uids.note('old', 5000)
  expect([uids.take('new'), uids.take('old')]).toEqual([5001, 5000])
})

test('User of a machine that is gone is given to the next', () => {
  const uids = newUids(5000)
  for (const id of ['a', 'b', 'c']) uids.take(id)
  uids.release('b')
  expect([uids.take('d'), uids.take('e')]).toEqual([5001, 5003])
})
