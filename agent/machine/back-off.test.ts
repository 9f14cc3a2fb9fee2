import { expect, test } from 'vitest'
import { backOffMs } from './back-off.ts'

test.each([
  [0, 1000],
  [1, 1000],
  [2, 2000],
  [9, 256_000],
  [10, 300_000],
  [5000, 300_000],
])('Back-off after %d failures is %d ms', (failures, ms) => {
  expect(backOffMs(failures)).toBe(ms)
})
