import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { newSlots } from './slots.ts'

test('slots let two pieces of work run at once, and every one in the end', async () => {
  const inSlot = newSlots(2)
  let running = 0
  let most = 0
  const work = async (index: number) => {
    running += 1
    most = Math.max(most, running)
    await turn()
    running -= 1
    if (index % 2 === 0) throw new Error('it fails')
  }
  const results = await Promise.allSettled(Array.from({ length: 6 }, (_, index) => inSlot(() => work(index))))
  expect(most).toBe(2)
  expect(results.map(({ status }) => status === 'fulfilled')).toEqual([false, true, false, true, false, true])
})
