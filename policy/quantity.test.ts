import { expect, test } from 'vitest'
import { quantity } from '../crds/common.ts'
import { knownBytes, toBytes, toQuantity, toSize, toText } from './quantity.ts'

test.each([
  ['0', 0],
  ['512', 512],
  ['1Ki', 1024],
  ['5Mi', 5 * 2 ** 20],
  ['4Gi', 4 * 2 ** 30],
  ['64Ti', 64 * 2 ** 40],
])('Quantity %s is %d bytes, and back', (text, bytes) => {
  expect(toBytes(text)).toBe(bytes)
  expect(toQuantity(bytes)).toBe(text)
})

test.each(['', '4 Gi', '4GB', '4G', '-1', '1.5Gi', 'Gi', '0x10', '4gi', '4Gi '])('Quantity %j is none', (text) => {
  expect(() => toBytes(text)).toThrow('not a quantity')
})

test.each([undefined, '', 'garbage', '-1Zi', '-1', '1e400', '1e3', '9'.repeat(24), '9999999Ti'])(
  'Quantity %j in a status says nothing',
  (text) => {
    expect(knownBytes(text)).toBeUndefined()
  },
)

test('Quantity keeps every byte, whatever the number', () => {
  for (let power = 0; power < 52; power++) {
    for (const bytes of [2 ** power - 1, 2 ** power, 2 ** power + 1, 3 * 2 ** power]) {
      expect(toBytes(toQuantity(bytes))).toBe(bytes)
      expect(quantity.safeParse(toQuantity(bytes)).success).toBe(true)
    }
  }
})

test.each([
  [0, '1Mi'],
  [1, '1Mi'],
  [2 ** 20, '1Mi'],
  [2 ** 20 + 1, '2Mi'],
  [2 ** 30, '1Gi'],
  [2 ** 30 + 512, '1025Mi'],
  [2 ** 41, '2Ti'],
])('Size that holds %d bytes is %s', (bytes, size) => {
  expect(toSize(bytes)).toBe(size)
})

test.each([
  [0, '0 bytes'],
  [1023, '1023 bytes'],
  [1536, '1.5Ki'],
  [1.99 * 2 ** 30, '1.9Gi'],
  [2 ** 40, '1Ti'],
])('Text of %d bytes is %s', (bytes, text) => {
  expect(toText(bytes)).toBe(text)
})
