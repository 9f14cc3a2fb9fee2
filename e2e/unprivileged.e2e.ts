import { execFile } from 'node:child_process'
import { chmod, cp, mkdtemp, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { newPlatform, qemus, run, type Platform } from './testing/platform.ts'

const NOBODY = 65_534
const isRoot = process.getuid?.() === 0
const MAIN = join(import.meta.dirname, '..', 'local', 'main.ts')

/** The platform's own commands, as a user without any rights. */
async function asNobody({ home }: Platform, cache: string, ...args: string[]) {
  const identity = ['--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups']
  const env = { PATH: process.env['PATH'], HOME: home, HOLDFAST_HOME: join(home, 'state'), XDG_CACHE_HOME: cache }
  return run('setpriv', [...identity, process.execPath, MAIN, ...args], env)
}

test.skipIf(!isRoot)('npm start needs no root: everything runs as the user who typed it', async () => {
  await using platform = await newPlatform({ guest: 'Linux' })
  await promisify(execFile)('chown', [String(NOBODY), platform.home])
  // What was built for us, where that user can read it.
  const cache = await mkdtemp(join(tmpdir(), 'hf-cache-'))
  await chmod(cache, 0o755)
  await cp(join(homedir(), '.cache', 'holdfast'), join(cache, 'holdfast'), { recursive: true })
  await promisify(execFile)('chown', ['-R', String(NOBODY), cache])
  try {
    const started = await asNobody(platform, cache, 'start', '--detach')
    expect(started).toMatchObject({ code: 0, stdout: expect.stringContaining('has booted') })
    const { stdout } = await run(
      'kubectl',
      ['--kubeconfig', join(platform.home, 'state', 'kubeconfig'), 'get', 'hfvm', '-A'],
      process.env,
    )
    expect(stdout).toMatch(/hello +Running +True/)
    const [guest] = await qemus(platform)
    const owner = await run('ps', ['-o', 'uid=', '-p', String(guest?.pid)], process.env)
    expect(Number(owner.stdout)).toBe(NOBODY)
    expect(await asNobody(platform, cache, 'stop')).toMatchObject({ code: 0 })
    expect(await qemus(platform)).toEqual([])
  } finally {
    await asNobody(platform, cache, 'stop')
    await rm(cache, { recursive: true, force: true })
  }
})
