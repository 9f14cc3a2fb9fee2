import { once } from 'node:events'
import { expect, test } from 'vitest'
import { endProcess } from './end-process.ts'
import { isAlive } from '../../lib/process-identity.ts'
import { deadProcess, startScript } from './testing.ts'

test.each([
  ['ends when it is asked to', 'echo; exec sleep 60', 5_000, 'SIGTERM'],
  ['is killed when it does not', "trap '' TERM; echo; while :; do sleep 0.05; done", 100, 'SIGKILL'],
])('a process %s', async (_name, script, graceMs, signal) => {
  const { child, identity } = await startScript(script)
  const exited = once(child, 'exit')
  await endProcess(identity, graceMs)
  expect(await isAlive(identity)).toBe(false)
  expect(await exited).toEqual([null, signal])
})

test('a process that has ended is nothing to end, and another one of its number is left alone', async () => {
  await endProcess(await deadProcess(), 1_000)
  const { child, identity } = await startScript('echo; exec sleep 60')
  try {
    await endProcess({ ...identity, startTime: '1' }, 1_000)
    expect(await isAlive(identity)).toBe(true)
  } finally {
    child.kill('SIGKILL')
  }
})
