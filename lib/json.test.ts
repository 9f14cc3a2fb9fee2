import { expect, test } from 'vitest'
import { copyJson, isSameJson, mergePatch, patched } from './json.ts'

test.each<[unknown, unknown]>([
  [1, 1],
  [null, null],
  [
    { a: 1, b: [{ c: 'x' }] },
    { b: [{ c: 'x' }], a: 1 },
  ],
  [{ a: undefined }, {}],
  [{}, { a: undefined }],
  [{ a: { b: undefined } }, { a: {} }],
  [[], []],
])('%j and %j say the same', (a, b) => {
  expect([isSameJson(a, b), isSameJson(b, a)]).toEqual([true, true])
})

test.each<[unknown, unknown]>([
  [1, '1'],
  [null, undefined],
  [null, {}],
  [[], {}],
  [{ a: 1 }, { a: 1, b: 2 }],
  [{ a: null }, {}],
  [{ a: 1 }, { b: 1 }],
  [
    [1, 2],
    [2, 1],
  ],
  [[1], [1, 2]],
  [{ a: [{ b: 1 }] }, { a: [{ b: 2 }] }],
  [{ a: {} }, { a: undefined }],
])('%j and %j do not say the same', (a, b) => {
  expect([isSameJson(a, b), isSameJson(b, a)]).toEqual([false, false])
})

test('a copy is the same, and shares nothing', () => {
  const value = { a: [{ b: 1 }, null], c: { d: 'x' } }
  const copy = copyJson(value)
  expect(copy).toEqual(value)
  copy.a[0] = null
  copy.c.d = 'y'
  expect(value).toEqual({ a: [{ b: 1 }, null], c: { d: 'x' } })
})

test.each<[object, object, object]>([
  [{ a: 1 }, { a: 1 }, {}],
  [{}, { a: 1 }, { a: 1 }],
  [{ a: 1 }, {}, { a: null }],
  [
    { a: 1, b: 2 },
    { a: undefined, b: 3 },
    { a: null, b: 3 },
  ],
  [{ a: undefined }, {}, {}],
  [{ a: { b: 1, c: 2 } }, { a: { b: 1, d: 3 } }, { a: { c: null, d: 3 } }],
  [{ a: [1, 2] }, { a: [1, 3] }, { a: [1, 3] }],
  [{ a: [1] }, { a: { b: 1 } }, { a: { b: 1 } }],
  [{ a: { b: 1 } }, { a: 'x' }, { a: 'x' }],
])('from %j to %j is the merge patch %j', (before, after, patch) => {
  expect(mergePatch(before, after)).toEqual(patch)
  expect(isSameJson(patched(before, patch), after)).toBe(true)
})
