import { expect, test } from 'vitest'
import { complaint } from './run.ts'

test.each([
  { stderr: 'W: first\nE: worst\nE: later\n', expected: 'worst' },
  {
    stderr: 'W: Failed to fetch x  Could not resolve\nW: Some index files failed\n',
    expected: 'Failed to fetch x  Could not resolve',
  },
  { stderr: 'warning\n  disk full  \n\n', expected: 'disk full' },
  { stderr: '\n', expected: undefined },
])('complaint finds $expected', ({ stderr, expected }) => {
  expect(complaint(stderr)).toBe(expected)
})
