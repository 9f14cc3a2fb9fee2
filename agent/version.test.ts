import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readVersion } from './version.ts'

const here = import.meta.dirname

test('the agent shows the version of package.json, and main.ts has none of its own', async () => {
  const manifest: unknown = JSON.parse(await readFile(join(here, '..', 'package.json'), 'utf8'))
  expect(manifest).toMatchObject({ version: readVersion() })
  const main = await readFile(join(here, 'main.ts'), 'utf8')
  expect(main).toContain('version: readVersion()')
  expect(main).not.toMatch(/'\d+\.\d+\.\d+'/)
})
