import { describe, expect, test } from 'vitest'
import * as z from 'zod'
import { listOf, mapOf } from './lists.ts'
import { parseObject, parseReview } from './review.ts'

const MANY = 1_000_000
const numbers = Array.from({ length: MANY }, () => 1)
const resource = { group: '', version: 'v1', resource: 'disks' }
const review = (userInfo: object) => ({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: { uid: 'u', resource, operation: 'CREATE', userInfo },
})

/** What is said of it. */
function objectionTo(read: () => unknown): string {
  try {
    read()
  } catch (error) {
    return error instanceof z.ZodError ? error.message : String(error)
  }
  return ''
}

describe('Of a million wrong elements', () => {
  test.each<[string, () => unknown]>([
    ['groups', () => parseReview(review({ groups: numbers }))],
    ['extra', () => parseReview(review({ extra: { a: numbers } }))],
    ['labels', () => parseObject({ metadata: { labels: Object.fromEntries(numbers.entries()) } })],
    ['annotations', () => parseObject({ metadata: { annotations: numbers } })],
  ])('in %s no more is said than of one', (field, read) => {
    const said = objectionTo(read)
    expect(said).toContain(field)
    expect(said.length).toBeLessThan(500)
  })
})

test('What is as it should be is given as it is', () => {
  const list = ['a', 'b']
  expect(listOf(z.string()).parse(list)).toBe(list)
  const map = { a: 'b' }
  expect(mapOf(z.string()).parse(map)).toBe(map)
  for (const other of [undefined, null, 'a', 7, [1], { a: 1 }]) {
    expect([listOf(z.string()).safeParse(other).success, mapOf(z.string()).safeParse(other).success]).toEqual([
      false,
      false,
    ])
  }
})
