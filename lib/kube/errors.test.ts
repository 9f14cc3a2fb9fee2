import { expect, test } from 'vitest'
import { isKubeError, KubeError, toKubeError } from './errors.ts'

const status = (reason: string, message = 'why') => ({ kind: 'Status', reason, message })

test.each([
  [409, status('AlreadyExists'), 'AlreadyExists', 'why'],
  [409, status('Conflict'), 'Conflict', 'why'],
  [410, status('Gone'), 'Expired', 'why'],
  [410, status('Expired', ''), 'Expired', 'the API server answered HTTP 410'],
  [500, status('InternalError'), 'Other', 'why'],
  [404, status('toString'), 'NotFound', 'why'],
  [503, 'a page of a proxy', 'Unreachable', 'the API server answered HTTP 503'],
  [401, undefined, 'Unauthorized', 'the API server answered HTTP 401'],
  [418, {}, 'Other', 'the API server answered HTTP 418'],
])('HTTP %i with %j is %s', (httpStatus, body, code, message) => {
  expect(toKubeError(httpStatus, body)).toMatchObject({ name: 'KubeError', code, message })
})

test('isKubeError knows its codes', () => {
  const error = new KubeError('Conflict', 'changed')
  expect(isKubeError(error, 'NotFound', 'Conflict')).toBe(true)
  expect(isKubeError(error, 'NotFound')).toBe(false)
  expect(isKubeError(new Error('Conflict'), 'Conflict')).toBe(false)
})
