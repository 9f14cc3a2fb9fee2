import { expect, test } from 'vitest'
import { waiting } from '../../lib/reconcile/outcome.ts'
import { newOrders } from './orders.ts'

const refusal = waiting('HostRefused', 'full', 5_000)
if (refusal.type !== 'waiting') throw new Error('unreachable')

test('Order that is refused again and again is held back for longer and longer, until it is another one', () => {
  let nowMs = 0
  const orders = newOrders(() => nowMs)
  const order = { session: 1, order: 'start' }
  const pauses: number[] = []
  const texts: string[] = []
  for (let times = 1; times <= 12; times++) {
    orders.refuse('a', order, refusal)
    const held = orders.held('a', order)
    pauses.push(held?.retryAfterMs ?? 0)
    texts.push(held?.message ?? '')
    nowMs += held?.retryAfterMs ?? 0
    expect(orders.held('a', order)).toBeUndefined()
  }
  expect(texts).toEqual([...Array<string>(4).fill(''), ...Array<string>(8).fill('full')])
  expect(pauses).toEqual([0, 0, 0, 0, 250, 500, 1_000, 2_000, 4_000, 5_000, 5_000, 5_000])

  orders.refuse('a', order, refusal)
  expect(orders.held('a', order)).toBeDefined()
  for (const other of [
    { ...order, session: 2 },
    { ...order, order: 'stop' },
  ]) {
    expect(orders.held('a', other)).toBeUndefined()
  }
  orders.remember('a', 1, 'start')
  expect(orders.held('a', order)).toBeUndefined()
})
