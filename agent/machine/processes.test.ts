import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { ageMs, findMachines, isAlive, kill, processOf } from './processes.ts'

const id = '11111111-1111-4111-8111-111111111111'

/** A process with any arguments, which does nothing. */
async function newProcess(...args: string[]) {
  const child = spawn('sh', ['-c', 'read line', 'qemu', ...args], { stdio: ['pipe', 'ignore', 'ignore'] })
  const exited = once(child, 'exit')
  await once(child, 'spawn')
  const end = async () => {
    child.kill('SIGKILL')
    await exited
  }
  return { pid: child.pid ?? 0, exited, [Symbol.asyncDispose]: end }
}

test('Process is found by the machine and the run folder that it was started with', async () => {
  const options = ['-name', 'guest=ns/a,,b,debug-threads=off', '-uuid', id, '-pidfile', `/run/hf-test/${id}/pid`]
  await using qemu = await newProcess(...options)
  await using other = await newProcess('-uuid', id, '-pidfile', `/run/hf-other/${id}/pid`)
  await expect
    .poll(() => findMachines('/run/hf-test'))
    .toEqual([{ ...processOf(qemu.pid), machineId: id, uid: process.getuid?.(), name: 'ns/a,b' }])
  expect((await findMachines('/run/hf-other')).map(({ pid }) => pid)).toEqual([other.pid])
  expect(await findMachines('/run/hf')).toEqual([])
})

test('Process that has ended is not alive, also before its parent takes note of it', async () => {
  await using child = await newProcess()
  const running = processOf(child.pid)
  if (!running) throw new Error('it ended at once')
  expect(isAlive(running)).toBe(true)
  kill(running)
  await child.exited
  expect(isAlive(running)).toBe(false)
  expect(processOf(child.pid)).toBeUndefined()
  kill(running)
})

test('Process with the number of an earlier one is not taken for it', async () => {
  await using child = await newProcess()
  const running = processOf(child.pid)
  if (!running) throw new Error('it ended at once')
  const earlier = { ...running, startTime: '1' }
  expect(isAlive(earlier)).toBe(false)
  kill(earlier)
  expect(isAlive(running)).toBe(true)
  expect(ageMs(running)).toBeLessThan(60_000)
  expect(ageMs(earlier)).toBeGreaterThan(ageMs(running))
})
