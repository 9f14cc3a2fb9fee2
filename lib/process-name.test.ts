import { expect, test } from 'vitest'
import { hasEnded, isNameOf, processName } from './process-name.ts'

// Linux counts to 2^22.
const BEYOND_ALL_PIDS = 2 ** 22 + 1

test('a process that runs has not ended, and knows its own name', async () => {
  const name = await processName()
  expect(await processName()).toBe(name)
  expect(isNameOf(name, process.pid)).toBe(true)
  expect(isNameOf(name, process.pid + 1)).toBe(false)
  expect(await hasEnded(name)).toBe(false)
})

test('a process has ended when its pid is nobody, or somebody who started at another time', async () => {
  const name = await processName()
  expect(await hasEnded(name.replace(`-${process.pid}_`, `-${BEYOND_ALL_PIDS}_`))).toBe(true)
  expect(await hasEnded(name.replace(/\d+$/, '1'))).toBe(true)
})

test.each([
  ['of another kernel or container', (name: string) => name.replace(/_[0-9a-f]{12}_/, '_000000000000_')],
  ['that is no such name', () => 'web-1'],
  ['of pid 0', (name: string) => name.replace(/-\d+_/, '-0_')],
  ['of nobody', () => ''],
])('nothing is known of a process %s', async (_what, change) => {
  expect(await hasEnded(change(await processName()))).toBe(false)
})
