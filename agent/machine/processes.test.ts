import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
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

const findIn = async (runDir: string) => (await findMachines()).filter((found) => found.runDir === runDir)

test('Process is found by the machine and the run folder that it was started with', async () => {
  const options = ['-name', 'guest=ns/a,,b,debug-threads=off', '-uuid', id, '-pidfile', `/run/hf-test/${id}/pid`]
  await using qemu = await newProcess(...options)
  await using other = await newProcess('-uuid', id, '-pidfile', `/run/hf-other/${id}/pid`)
  await using libvirt = await newProcess('-uuid', id, '-pidfile', '/run/libvirt/qemu/1.pid')
  await expect
    .poll(() => findIn('/run/hf-test'))
    .toEqual([
      { ...processOf(qemu.pid), machineId: id, runDir: '/run/hf-test', uid: process.getuid?.(), name: 'ns/a,b' },
    ])
  expect((await findIn('/run/hf-other')).map(({ pid }) => pid)).toEqual([other.pid])
  expect((await findMachines()).map(({ pid }) => pid)).not.toContain(libvirt.pid)
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

// Its main thread ends, and another one goes on.
const headless = [
  'import ctypes, threading, time',
  'threading.Thread(target=time.sleep, args=(60,)).start()',
  'ctypes.CDLL(None).pthread_exit(None)',
].join('\n')
const hasPython = spawnSync('python3', ['-V']).status === 0

test.skipIf(!hasPython)('Process whose main thread has ended is alive, and is found, while another lives', async () => {
  const options = ['-uuid', id, '-pidfile', `/run/hf-headless/${id}/pid`]
  const child = spawn('python3', ['-c', headless, ...options], { stdio: 'ignore' })
  const exited = once(child, 'exit')
  try {
    await once(child, 'spawn')
    const stat = `/proc/${child.pid}/stat`
    await expect.poll(() => readFile(stat, 'utf8'), { timeout: 5000 }).toMatch(/^\d+ \(.*\) Z /)
    const process = processOf(child.pid ?? 0)
    if (!process) throw new Error('it is taken for one that has ended')
    expect(isAlive(process)).toBe(true)
    expect(await findIn('/run/hf-headless')).toMatchObject([{ ...process, machineId: id }])
    kill(process)
    await exited
    expect(isAlive(process)).toBe(false)
  } finally {
    child.kill('SIGKILL')
  }
})
