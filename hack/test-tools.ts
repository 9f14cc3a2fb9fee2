import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

/** What some tests make faults with, by the package that has it. They are skipped without it. */
const tools = [
  { package: 'strace', path: '/usr/bin/strace' },
  { package: 'libfaketime', path: '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1' },
]

/** Installs where that is possible what only tests need, and says what is skipped where it is not. */
export function ensureTestTools(say: (line: string) => void): void {
  const missing = tools.filter(({ path }) => !existsSync(path)).map((tool) => tool.package)
  if (missing.length === 0) return
  const command = ['install', '--yes', '--quiet=2', '--no-install-recommends', ...missing]
  say(`installing what tests need: apt-get ${command.join(' ')}`)
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', DEBIAN_FRONTEND: 'noninteractive' }
  const { status } = spawnSync('apt-get', command, { stdio: ['ignore', 'ignore', 'inherit'], env })
  if (status !== 0) say(`the tests that need it are skipped: install ${missing.join(' and ')}`)
}
