import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { newLocks } from './lock.ts'

test('work on one name is done one after the other, in the order it came', async () => {
  const locks = newLocks()
  const log: string[] = []
  const work = (name: string) => async () => {
    log.push(`${name} begins`)
    await sleep(1)
    log.push(`${name} ends`)
  }
  await Promise.all(['a', 'b', 'c'].map((name) => locks.with(['disk'], work(name))))
  expect(log).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
})

test('work on several names never waits in a circle', async () => {
  const locks = newLocks()
  const orders = [
    ['a', 'b'],
    ['b', 'a'],
    ['b', 'c', 'a'],
    ['a', 'a'],
    ['c', 'b'],
  ]
  const done = await Promise.all(orders.map((names) => locks.with(names, async () => sleep(1, names))))
  expect(done).toEqual(orders)
})

test('work that fails lets the next begin', async () => {
  const locks = newLocks()
  const failing = locks.with(['a'], () => Promise.reject(new Error('no')))
  await expect(failing).rejects.toThrow('no')
  expect(await locks.with(['a'], () => Promise.resolve('yes'))).toBe('yes')
})
