import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { identify, isAlive } from '../../lib/process-identity.ts'
import { deadProcess, startScript } from './testing.ts'

test('a process is the same as long as it lives, and not another one of its number', async () => {
  const own = await identify(process.pid)
  if (!own) throw new Error('this process is not there')
  expect(await identify(process.pid)).toEqual(own)
  expect(await isAlive(own)).toBe(true)
  expect(await isAlive({ ...own, startTime: '1' })).toBe(false)
  expect(await isAlive({ ...own, bootId: 'before the reboot' })).toBe(false)
})

// Only a parent that is no shell any more leaves a child that has ended alone.
const becomesSleep = 'until [ "$(cat /proc/$PPID/comm)" = sleep ]; do :; done'

test('a process that has ended is not there, also when its parent did not notice', async () => {
  expect(await isAlive(await deadProcess())).toBe(false)
  const { child, output } = await startScript(`sh -c '${becomesSleep}' & echo $!; exec sleep 60`)
  try {
    const zombie = Number(output)
    await expect.poll(() => identify(zombie), { interval: 2, timeout: 4_000 }).toBeUndefined()
    expect(await readFile(`/proc/${zombie}/stat`, 'utf8')).toContain(') Z ')
  } finally {
    child.kill('SIGKILL')
  }
})

test('a process is recognised whatever its program is called', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'identity-'))
  const program = join(folder, 'a) Z 1 (b')
  await copyFile('/bin/sleep', program)
  const { child, identity } = await startScript(`echo; exec '${program}' 60`)
  try {
    await expect
      .poll(() => readFile(`/proc/${child.pid}/comm`, 'utf8'), { interval: 2, timeout: 4_000 })
      .toBe('a) Z 1 (b\n')
    expect(await identify(identity.pid)).toEqual(identity)
  } finally {
    child.kill('SIGKILL')
    await rm(folder, { recursive: true })
  }
})
