import { expect, test } from 'vitest'
import { parseRequirements, provenIds } from './requirements.ts'

test('reads the rows of the checklist and nothing else', () => {
  const markdown =
    '| id | requirement | proof |\n|---|---|---|\n| [ ] DEL-07 | Delayed: gone | a |\n| [x] TFA-01 | **beyond** More | b |\n'
  expect(parseRequirements(markdown)).toEqual([
    { id: 'DEL-07', title: 'Delayed: gone' },
    { id: 'TFA-01', title: 'More' },
  ])
})

test.each<[string, string, string[]]>([
  ['a test', "test('[DEL-07] is purged', () => {})", ['DEL-07']],
  ['a group of tests', 'describe(`[TFA-01] login`, () => {})', ['TFA-01']],
  ['a test in a group', "describe('a', () => { it('[DEL-07] b', () => {}) })", ['DEL-07']],
  ['an empty table', "test.each([])('[DEL-08] [DEL-09] %s', () => {})", ['DEL-08', 'DEL-09']],
  ['a table', "test.each([['a', ['b'], (c)], [`(`, '[IMG-11]', 2]])('[DEL-08] %s', () => {})", ['DEL-08']],
  ['a table with types', "test.each<[string, (() => void)]>([['a', f]])('[DEL-08] %s', () => {})", ['DEL-08']],
  ['a table of lines', "test.each([\n  ['a', 1],\n])(\n  '[DEL-08] %s',\n  () => {},\n)", ['DEL-08']],
  ['a table as text', "test.each`a | b\n${1} | ${2}`('[DEL-08] $a', () => {})", ['DEL-08']],
  ['a test that is left out at times', "test.skipIf(isRoot())('[DEL-08] a', () => {})", ['DEL-08']],
  ['the middle of a name', "test('[DEL-13] has no end, and [DEL-08] is kept', () => {})", ['DEL-13', 'DEL-08']],
  ['a comment', '// [IMG-11] is proven elsewhere: test("[IMG-11]")', []],
  ['another call', "describeAll('[IMG-11] a'); expect(test).toBe('[IMG-11]')", []],
])('finds the ids in names of tests: %s', (_, text, ids) => {
  expect(provenIds(text)).toEqual(ids)
})
