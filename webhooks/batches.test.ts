import { expect, test } from 'vitest'
import { newBatches } from './batches.ts'

test('What comes while work of its name is under way is done together after it, and other names beside it', async () => {
  const gate = Promise.withResolvers<void>()
  const done: string[] = []
  const batches = newBatches(async ({ items, hasWaited }: { items: readonly string[]; hasWaited: boolean }) => {
    if (items[0] === 'a1') await gate.promise
    done.push(`${items.join('+')}${hasWaited ? ' later' : ''}`)
    return items.map((item) => item.toUpperCase())
  })
  const all = Promise.all(['a1', 'a2', 'a3'].map((item) => batches.join('a', item)))
  expect(await batches.join('b', 'b1')).toBe('B1')
  gate.resolve()
  expect(await all).toEqual(['A1', 'A2', 'A3'])
  expect(await batches.join('a', 'a4')).toBe('A4')
  expect(done).toEqual(['b1', 'a1', 'a2+a3 later', 'a4'])
})

test('What a batch throws is told to everybody in it, and to nobody else', async () => {
  const batches = newBatches(async ({ items }: { items: readonly string[] }) => {
    await Promise.resolve()
    if (items.includes('bad')) throw new Error('no')
    return items
  })
  const found = await Promise.allSettled(['first', 'bad', 'beside'].map((item) => batches.join('a', item)))
  expect(found.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected'])
  expect(await batches.join('a', 'last')).toBe('last')
})
