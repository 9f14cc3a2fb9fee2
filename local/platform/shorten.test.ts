import { expect, test } from 'vitest'
import { firstOf } from './shorten.ts'

test.each([
  ['all of a few', ['a', 'b'], { max: 2 }, ['a', 'b']],
  ['the first of many, and how many more', ['a', 'b', 'c'], { max: 1 }, ['a', 'and 2 more']],
  ['how to see the rest', ['a', 'b'], { max: 1, seeRest: 'ls' }, ['a', 'and 1 more; ls']],
  ['all, where no end is set', ['a', 'b'], { max: Infinity, seeRest: 'ls' }, ['a', 'b']],
])('A list shows %s', (_what, texts, shortening, shown) => {
  expect(firstOf(texts, shortening)).toEqual(shown)
})
