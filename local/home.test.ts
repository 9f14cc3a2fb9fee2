import { chmod, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { homeAt, homeFolder, prepareHome, refuseUnusableHome } from './home.ts'
import { runCommand } from './processes/run-command.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hf-home-'))
  await chmod(folder, 0o711)
  await writeFile(join(folder, 'file'), '')
  await symlink(join(folder, 'nothing'), join(folder, 'link'))
})
afterEach(() => rm(folder, { recursive: true }))

const unusable = {
  code: 'HOME_UNUSABLE',
  message: expect.stringMatching(/: choose another folder with HOLDFAST_HOME$/),
}

test('a home that is named by a relative path is where npm was called', () => {
  expect(homeFolder({ HOLDFAST_HOME: 'rel', INIT_CWD: '/home/me/docs' })).toBe('/home/me/docs/rel')
  expect(homeFolder({ HOLDFAST_HOME: '/srv/hf', INIT_CWD: '/home/me/docs' })).toBe('/srv/hf')
})

test('a home whose name is too long is refused', async () => {
  await expect(refuseUnusableHome({ root: join(folder, 'x'.repeat(300)) })).rejects.toMatchObject(unusable)
})

test('a home is made with all folders above it, which others can pass through', async () => {
  const home = homeAt(join(folder, 'a', 'b'), {})
  await expect(refuseUnusableHome(home)).resolves.toBeUndefined()
  await prepareHome(home)
  await prepareHome(home)
  await expect(refuseUnusableHome(home)).resolves.toBeUndefined()
  const modes = [home.root, home.storage, home.logs].map(async (path) => (await stat(path)).mode & 0o777)
  expect(await Promise.all(modes)).toEqual([0o711, 0o711, 0o700])
})

test.each([
  ['in /proc, where nothing can be made', () => '/proc/holdfast/home'],
  ['that is a file', () => join(folder, 'file')],
  ['below a file', () => join(folder, 'file', 'home')],
  ['that is a link to nothing', () => join(folder, 'link')],
])('a home %s cannot be prepared', async (_name, root) => {
  await expect(prepareHome(homeAt(root(), {}))).rejects.toMatchObject(unusable)
})

describe('npm run status and npm stop', () => {
  const main = join(import.meta.dirname, 'main.ts')
  test.each([
    ['status', 'file', 'is no folder'],
    ['stop', 'file/home', 'is in is no folder'],
  ])('%s answers a HOLDFAST_HOME of %s with one sentence', async (command, place, why) => {
    const env = { PATH: '/usr/bin:/bin', HOLDFAST_HOME: join(folder, place) }
    const { code, stderr } = await runCommand({
      command: process.execPath,
      args: [main, command],
      env,
      timeoutMs: 60_000,
    })
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(`^[^\n]*${why}: choose another.*\n$`) })
  })
})
