import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { homeAt } from '../home.ts'
import { findLeftGuests } from './left-guests.ts'

// Its main thread ends, and another one goes on.
const headless = [
  'import ctypes, threading, time',
  'threading.Thread(target=time.sleep, args=(60,)).start()',
  'ctypes.CDLL(None).pthread_exit(None)',
].join('\n')
const hasPython = spawnSync('python3', ['-V']).status === 0

test.skipIf(!hasPython)('a guest whose main thread has ended is left until its last one has', async () => {
  const root = await mkdtemp(join(tmpdir(), 'hf-'))
  const home = homeAt(root, {})
  const folder = join(home.agent.run, 'machine')
  await mkdir(folder, { recursive: true })
  const child = spawn('python3', ['-c', headless, '-pidfile', join(folder, 'pid')], { stdio: 'ignore' })
  const exited = once(child, 'exit')
  try {
    await once(child, 'spawn')
    await writeFile(join(folder, 'pid'), `${child.pid}\n`)
    const stat = `/proc/${child.pid}/stat`
    await expect.poll(() => readFile(stat, 'utf8'), { timeout: 5000 }).toMatch(/^\d+ \(.*\) Z /)
    expect(await findLeftGuests(home)).toEqual([child.pid])
    child.kill('SIGKILL')
    await exited
    expect(await findLeftGuests(home)).toEqual([])
  } finally {
    child.kill('SIGKILL')
    await rm(root, { recursive: true })
  }
})
