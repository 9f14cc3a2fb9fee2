import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { silentLog } from '../lib/log.ts'
import { boundLogs } from './folders.ts'
import { foldersOf } from './paths.ts'

afterEach(() => void vi.useRealTimers())

test('Logs are kept within their bounds also when one of them cannot be', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'hf-'))
  const folders = foldersOf(dir, join(dir, 'run'))
  const [bad, good] = ['a.log', 'b.log'].map((file) => join(folders.serial, file))
  if (bad === undefined || good === undefined) throw new Error('unreachable')
  // Its end cannot move to a folder.
  await mkdir(`${bad}.1`, { recursive: true })
  await Promise.all([bad, good].map((file) => writeFile(file, 'x'.repeat(2 ** 20 + 1))))
  vi.useFakeTimers({ toFake: ['setInterval'] })
  const bounding = boundLogs(folders, silentLog)
  vi.advanceTimersByTime(2000)
  vi.useRealTimers()
  await expect.poll(async () => (await stat(good)).size).toBe(0)
  bounding[Symbol.dispose]()
  await rm(dir, { recursive: true })
})
