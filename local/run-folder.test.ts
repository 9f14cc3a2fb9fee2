import { chmod, mkdir, mkdtemp, rename, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { homeAt, prepareHome } from './home.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp('/tmp/hf-')
  await chmod(folder, 0o711)
})
afterEach(() => rm(folder, { recursive: true }))

const LONG = 'too-long-for-sockets-'.repeat(5)
const at = (name: string, runtime?: string) =>
  homeAt(join(folder, name), runtime === undefined ? {} : { XDG_RUNTIME_DIR: join(folder, runtime) })

test('a platform keeps the run folder in which its guests are, whatever the next environment says', async () => {
  const home = at(LONG, 'a')
  expect(home.agent.run).toContain(join(folder, 'a', 'holdfast-'))
  await prepareHome(home)
  expect(at(LONG, 'b').agent.run).toBe(home.agent.run)
  expect(at(LONG).agent.run).toBe(home.agent.run)
})

test('a platform takes another run folder when the kept one is gone, or is a link', async () => {
  const home = at(LONG, 'a')
  await prepareHome(home)
  await rename(join(folder, 'a'), join(folder, 'moved'))
  const next = at(LONG, 'b').agent.run
  expect(next).toContain(join(folder, 'b'))
  await mkdir(join(folder, 'a'))
  await symlink(tmpdir(), home.agent.run)
  expect(at(LONG, 'b').agent.run).toBe(next)
  await prepareHome(at(LONG, 'b'))
  expect(at(LONG, 'c').agent.run).toBe(next)
})

test('a home that is a copy, or that is short, has a run folder of its own', async () => {
  const home = at(LONG, 'a')
  await prepareHome(home)
  await rename(home.root, join(folder, `copy-${LONG}`))
  expect(at(`copy-${LONG}`, 'b').agent.run).toContain(join(folder, 'b'))
  await rename(join(folder, `copy-${LONG}`), join(folder, 'short'))
  expect(at('short', 'b').agent.run).toBe(join(folder, 'short', 'run'))
})
