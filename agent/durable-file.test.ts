import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { isMissing, readIfThere, writeDurably } from './durable-file.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hf-'))
})
afterEach(() => rm(folder, { recursive: true }))

test('File is replaced as a whole, readable by its owner alone, and nothing else is left', async () => {
  const path = join(folder, 'file')
  for (const text of ['a longer text', 'short']) await writeDurably(path, text)
  expect(await readFile(path, 'utf8')).toBe('short')
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect(await readdir(folder)).toEqual(['file'])
})

test('File that many write at once has what one of them wrote', async () => {
  const path = join(folder, 'file')
  const texts = Array.from({ length: 20 }, (_, index) => String(index).repeat(10_000))
  await Promise.all(texts.map((text) => writeDurably(path, text)))
  expect(texts).toContain(await readFile(path, 'utf8'))
  expect(await readdir(folder)).toEqual(['file'])
})

test('File that cannot be written leaves the old one, and no other', async () => {
  await writeFile(join(folder, 'file'), 'old')
  await expect(writeDurably(join(folder, 'no', 'file'), 'new')).rejects.toSatisfy(isMissing)
  // A folder cannot be replaced by a file: it fails at its last step.
  await expect(writeDurably(folder, 'new')).rejects.toThrow('EISDIR')
  expect(await readdir(folder)).toEqual(['file'])
})

test('File that is missing reads as undefined, and what cannot be read throws', async () => {
  expect(await readIfThere(join(folder, 'none'))).toBeUndefined()
  await expect(readIfThere(folder)).rejects.toMatchObject({ code: 'EISDIR' })
})
