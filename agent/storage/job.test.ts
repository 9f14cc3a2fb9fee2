import { expect, test } from 'vitest'
import { Job } from './job.ts'

test('tells the result to who waits, and that nobody had to go without it', async () => {
  const ends: unknown[] = []
  const job = new Job(Promise.resolve(7), (result, isAwaitedLater) => ends.push([result.status, isAwaitedLater]))
  expect(await job.result(undefined)).toBe(7)
  expect(ends).toEqual([['fulfilled', false]])
  expect(job.isRunning).toBe(false)
})

test('lets who waits too long go, and remembers that', async () => {
  const ends: unknown[] = []
  const { promise, resolve } = Promise.withResolvers<number>()
  const job = new Job(promise, (result, isAwaitedLater) => ends.push([result.status, isAwaitedLater]))
  expect(await job.result(1)).toBeUndefined()
  expect(job.isRunning).toBe(true)
  resolve(7)
  expect(await job.result(undefined)).toBe(7)
  expect(ends).toEqual([['fulfilled', true]])
})

test('tells a failure to everybody who asks', async () => {
  const job = new Job(Promise.reject(new Error('no')), () => undefined)
  await expect(job.result(undefined)).rejects.toThrow('no')
  await expect(job.result(10)).rejects.toThrow('no')
})
