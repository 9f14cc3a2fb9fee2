import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { cacheFolder } from '../local/user-folders.ts'

const PACKAGE = 'prometheus'
const INSTALLED = '/usr/bin/promtool'

type Environment = Parameters<typeof cacheFolder>[0]

/** Path of Prometheus' own checker; undefined where there is none. */
export function findPromtool(env: Environment): string | undefined {
  return [INSTALLED, cached(env)].find((path) => existsSync(path))
}

/**
 * Puts the one program out of the distribution's package into the user's cache: 19 MB to download, six seconds, no
 * root. The whole package would run a server. Says which tests are skipped where that is not possible.
 */
export async function ensurePromtool(env: Environment, say: (line: string) => void): Promise<void> {
  if (findPromtool(env) !== undefined) return
  say(`downloading promtool, which tests need: apt-get download ${PACKAGE}`)
  const target = cached(env)
  await mkdir(dirname(target), { recursive: true })
  const folder = await mkdtemp(join(dirname(target), 'download-'))
  try {
    if (await extractTo(folder)) await rename(join(folder, 'usr', 'bin', 'promtool'), target)
    else say(`the tests that need promtool are skipped: install ${PACKAGE}`)
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function extractTo(folder: string): Promise<boolean> {
  const run = (program: string, ...args: string[]) =>
    spawnSync(program, args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] }).status === 0
  if (!run('apt-get', '--quiet=2', 'download', PACKAGE)) return false
  const archive = (await readdir(folder)).find((name) => name.endsWith('.deb'))
  return (
    archive !== undefined && run('dpkg-deb', '--extract', archive, '.') && existsSync(join(folder, 'usr/bin/promtool'))
  )
}

function cached(env: Environment): string {
  return join(cacheFolder(env), 'promtool', 'promtool')
}

/** What promtool says of a file, or of what is given to it; undefined: nothing. */
export function complaintsOf(promtool: string, args: readonly string[], input = ''): string | undefined {
  const { status, stdout, stderr, error } = spawnSync(promtool, args, { input, encoding: 'utf8' })
  if (error) throw error
  return status === 0 && stderr === '' ? undefined : `exit code ${status}: ${stdout}${stderr}`
}
