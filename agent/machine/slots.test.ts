import { expect, test } from 'vitest'
import { assignSlots, slotsOf } from './slots.ts'

const disks = (...ids: string[]) => ids.map((id) => ({ id }))

test.each([
  ['a machine that never started', undefined, ['root', 'a', 'b'], { root: 0, a: 1, b: 2 }],
  ['one that lost a disk in the middle', { root: 0, a: 1, b: 2 }, ['root', 'b'], { root: 0, b: 2 }],
  ['one that got another instead', { root: 0, a: 1, b: 2 }, ['root', 'c', 'b'], { root: 0, b: 2, c: 1 }],
  ['one whose disks are listed in another order', { root: 0, a: 1, b: 2 }, ['root', 'b', 'a'], { root: 0, a: 1, b: 2 }],
  ['one without disks', { a: 3 }, [], {}],
])('Slots of %s stay where they are', (_name, known, ids, slots) => {
  expect(assignSlots(known, disks(...ids))).toEqual(slots)
})

test('Slots of disks are those that are known', () => {
  expect(slotsOf({ a: 1, b: 2 }, disks('b', 'c'))).toEqual({ b: 2 })
})
