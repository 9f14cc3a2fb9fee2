import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { rotateLog } from './rotate-log.ts'

test('a log that has grown too long begins anew for the program that writes it, and its last part is kept', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'log-'))
  const path = join(folder, 'program.log')
  const log = await open(path, 'a')
  try {
    await log.write('12345')
    await rotateLog(path, 5)
    expect(await readFile(path, 'utf8')).toBe('12345')
    await log.write('6')
    await rotateLog(path, 5)
    await log.write('7')
    expect(await readFile(path, 'utf8')).toBe('7')
    expect(await readFile(`${path}.1`, 'utf8')).toBe('123456')
  } finally {
    await log.close()
    await rm(folder, { recursive: true })
  }
})
