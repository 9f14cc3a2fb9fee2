import { expect, test } from 'vitest'
import type { Refusal } from '../import-file.ts'
import { newRefusals } from './refusals.ts'
import { noise, orderOf } from './testing.ts'

const order = orderOf(noise(16), 'http://files.example.com/a')
const strangers = [
  { ...order, url: 'http://files.example.com/b' },
  { ...order, caBundle: 'PEM' },
  { ...order, maxBytes: 1 },
  { ...order, allowedNetworks: [] },
]
const wrong: Refusal = { code: 'ChecksumMismatch', message: 'wrong' }
const away: Refusal = { code: 'DownloadFailed', message: 'away' }

test('Refusals are known by order, and nobody else makes one be forgotten', () => {
  const refusals = newRefusals({ monotonicMs: () => 0 })
  refusals.note(order, wrong)
  for (const stranger of strangers) {
    expect(refusals.find(stranger)).toBeUndefined()
    refusals.note(stranger, away)
    expect(refusals.find(stranger)).toEqual(away)
  }
  expect(refusals.find(order)).toEqual(wrong)
  refusals.forget(order.sha256)
  for (const one of [order, ...strangers]) expect(refusals.find(one)).toBeUndefined()
})

test('Refusals hold for 30 s, and for 15 minutes where they cost a whole download', () => {
  let nowMs = 0
  const refusals = newRefusals({ monotonicMs: () => nowMs })
  const other = { ...order, url: 'http://files.example.com/b' }
  refusals.note(order, wrong)
  refusals.note(other, away)
  const known = () => [order, other].map((one) => refusals.find(one)?.code)
  nowMs = 29_999
  expect(known()).toEqual(['ChecksumMismatch', 'DownloadFailed'])
  nowMs = 30_000
  expect(known()).toEqual(['ChecksumMismatch', undefined])
  nowMs = 900_000
  expect(known()).toEqual([undefined, undefined])
})

test('Refusals are bounded: the oldest is forgotten', () => {
  const refusals = newRefusals({ monotonicMs: () => 0 })
  const at = (index: number) => ({ ...order, url: `http://files.example.com/${index}` })
  for (let index = 0; index <= 1000; index += 1) refusals.note(at(index), away)
  expect([0, 1, 1000].map((index) => refusals.find(at(index)))).toEqual([undefined, away, away])
})
