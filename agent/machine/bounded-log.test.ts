import { appendFile, mkdtemp, open, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { keepBounded, readEnd } from './bounded-log.ts'

let folder: string
let log: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hf-'))
  log = join(folder, 'x.log')
})
afterEach(() => rm(folder, { recursive: true }))

test('Log within its bounds is left alone, and one that is missing too', async () => {
  await keepBounded(log, 10)
  await writeFile(log, '0123456789')
  await keepBounded(log, 10)
  expect(await readdir(folder)).toEqual(['x.log'])
  expect(await readFile(log, 'utf8')).toBe('0123456789')
})

test('Log beyond its bounds starts again, and its end is kept beside it', async () => {
  await writeFile(log, `${'a'.repeat(100_000)}${'b'.repeat(200_000)}`)
  await keepBounded(log, 200_000)
  expect((await stat(log)).size).toBe(0)
  expect(await readFile(`${log}.1`, 'utf8')).toBe('b'.repeat(200_000))
  await writeFile(log, 'c'.repeat(200_001))
  await keepBounded(log, 200_000)
  expect(await readFile(`${log}.1`, 'utf8')).toBe('c'.repeat(200_000))
})

test('Log goes on for whoever has it open for appending', async () => {
  const writer = await open(log, 'a')
  await writer.write('x'.repeat(50))
  await keepBounded(log, 10)
  await writer.write('after')
  await writer.close()
  expect(await readFile(log, 'utf8')).toBe('after')
})

test('Log that is a link to another file is not followed', async () => {
  await writeFile(join(folder, 'other'), 'x'.repeat(50))
  await symlink(join(folder, 'other'), log)
  await expect(keepBounded(log, 10)).rejects.toMatchObject({ code: 'ELOOP' })
  expect((await stat(join(folder, 'other'))).size).toBe(50)
})

test('End of a log is what came after a place, and no more than asked for', async () => {
  expect(await readEnd(log, 0, 100)).toBe('')
  await writeFile(log, 'before')
  await appendFile(log, 'after')
  expect(await readEnd(log, 6, 100)).toBe('after')
  expect(await readEnd(log, 0, 3)).toBe('ter')
  expect(await readEnd(log, 99, 100)).toBe('')
})
