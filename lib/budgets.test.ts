import { expect, test } from 'vitest'
import { Budgets } from './budgets.ts'

function newBudgets() {
  let nowMs = 0
  const budgets = new Budgets({ clock: { monotonicMs: () => nowMs }, burst: 3, refillMs: 1_000 })
  return { budgets, pass: (ms: number) => void (nowMs += ms) }
}

test('Budgets allow some at once, and then one after the other', () => {
  const { budgets, pass } = newBudgets()
  for (let count = 0; count < 3; count++) {
    expect(budgets.waitMs('a')).toBe(0)
    budgets.spend('a')
  }
  expect([budgets.waitMs('a'), budgets.waitMs('b')]).toEqual([1_000, 0])
  pass(400)
  expect(budgets.waitMs('a')).toBeCloseTo(600)
  pass(600)
  expect(budgets.waitMs('a')).toBe(0)
  budgets.spend('a')
  expect(budgets.waitMs('a')).toBe(1_000)
})

test('Budgets grow no larger than they were at first', () => {
  const { budgets, pass } = newBudgets()
  budgets.spend('a')
  pass(3_600_000)
  for (let count = 0; count < 3; count++) budgets.spend('a')
  expect(budgets.waitMs('a')).toBe(1_000)
})

test('Budgets remember no more than so many keys', () => {
  const { budgets } = newBudgets()
  for (let count = 0; count < 3; count++) budgets.spend('first')
  for (let count = 0; count < 10_000; count++) budgets.spend(`key-${count}`)
  expect(budgets.waitMs('first')).toBe(0)
})
