import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { FolderInUse, lockFolder } from './lock.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hf-'))
})
afterEach(() => rm(folder, { recursive: true }))

test('Folder has one holder, and says which process that is', async () => {
  await using held = await lockFolder(folder)
  expect(held).toBeDefined()
  const second = lockFolder(folder)
  await expect(second).rejects.toBeInstanceOf(FolderInUse)
  await expect(second).rejects.toThrow(`(process ${process.pid})`)
  expect(await readFile(join(folder, 'lock'), 'utf8')).toBe(`${process.pid}\n`)
})

test('Folder is free when its holder lets go of it, whatever is written in its file', async () => {
  await writeFile(join(folder, 'lock'), '1\n and much more than a later holder writes')
  await (await lockFolder(folder))[Symbol.asyncDispose]()
  await using held = await lockFolder(folder)
  expect(held).toBeDefined()
  expect(await readFile(join(folder, 'lock'), 'utf8')).toBe(`${process.pid}\n`)
})
