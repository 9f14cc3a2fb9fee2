import { expect, test } from 'vitest'
import { readCount, readMachines } from './options.ts'

const range = { usual: 3, least: 2, most: 100 }

test.each([
  [undefined, 3],
  ['2', 2],
  ['100', 100],
])('%s is %i', (text, count) => {
  expect(readCount('--rounds', text, range)).toBe(count)
})

test.each(['1', '101', '-5', '1e9', '2.5', '0x10', '', 'many'])('%s is refused with what it has to be', (text) => {
  expect(() => readCount('--rounds', text, range)).toThrow(`--rounds ${text}: it has to be a number of 2 to 100`)
})

test('A benchmark of one machine refuses a number of machines', () => {
  expect(readMachines('vm', undefined, undefined)).toBe(1)
  expect(() => readMachines('vm', '5', undefined)).toThrow('vm measures one machine at a time')
  expect(readMachines('scale', undefined, range)).toBe(3)
})
