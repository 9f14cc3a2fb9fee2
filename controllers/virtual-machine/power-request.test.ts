import { expect, test } from 'vitest'
import { isHandled } from './power-request.ts'

test.each([
  ['in another zone', '2026-01-01T01:00:00+01:00', true],
  ['that JavaScript cannot read', '2026-01-01T00:00:00+24:00', false],
  ['that is another', '2026-01-01T00:00:01Z', false],
])('A request that was looked at is known again, also at a time %s', (_, at, isSame) => {
  const handled = { request: 'Start', at: '2026-01-01T00:00:00Z' } as const
  expect(isHandled({ request: 'Start', at }, handled)).toBe(isSame)
  expect(isHandled({ request: 'Start', at }, { ...handled, at })).toBe(true)
})
