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

test('finds ids in names of tests, not in comments', () => {
  const text = [
    "test('[DEL-07] is purged', () => {})",
    "test.each([])('[DEL-08] [DEL-09] %s', () => {})",
    'describe(`[TFA-01] login`, () => {})',
    '// [IMG-11] is proven elsewhere',
  ].join('\n')
  expect(provenIds(text)).toEqual(['DEL-07', 'TFA-01'])
})
