import type { ProgramSearch } from '../control-plane/programs.ts'
import { LocalError } from '../errors.ts'
import { runCommand, type CommandResult } from '../processes/run-command.ts'

const packages = ['qemu-system-x86', 'qemu-utils', 'bubblewrap']
const programs = ['qemu-system-x86_64', 'qemu-img']
const PROBE_MS = 20_000
const INSTALL_MS = 15 * 60_000

/** Sees to it that this machine has QEMU: where we may, by installing it. Throws `QEMU_MISSING`, with the command to type. */
export async function ensureQemu(search: ProgramSearch): Promise<void> {
  const { env, say } = search
  if (await hasPrograms(env)) return
  const isRoot = process.getuid?.() === 0
  const hasApt = (await tryRun('apt-get', ['--version'], env)) !== undefined
  const command = `apt-get install --no-install-recommends ${packages.join(' ')}`
  if (!hasApt)
    throw missing('install QEMU 7.2 or newer (qemu-system-x86_64 and qemu-img) with the packages of your distribution')
  if (!isRoot) throw missing(`install it: sudo ${command}`)

  say(`installing QEMU: ${command}`)
  const quiet = { ...search, env: { ...env, DEBIAN_FRONTEND: 'noninteractive' } }
  await run('apt-get', ['update', '--quiet=2'], quiet)
  await run('apt-get', ['install', '--yes', '--quiet=2', '--no-install-recommends', ...packages], quiet)
  if (!(await hasPrograms(env))) throw missing(`see why this did not bring it: ${command}`)
}

async function hasPrograms(env: NodeJS.ProcessEnv): Promise<boolean> {
  for (const program of programs) if ((await tryRun(program, ['--version'], env)) === undefined) return false
  return true
}

async function tryRun(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<CommandResult | undefined> {
  try {
    return await runCommand({ command, args, env, timeoutMs: PROBE_MS })
  } catch (error) {
    if (error instanceof LocalError && error.code === 'COMMAND_MISSING') return undefined
    throw error
  }
}

async function run(command: string, args: readonly string[], { env, signal }: ProgramSearch): Promise<void> {
  const { code, stderr } = await runCommand({ command, args, env, timeoutMs: INSTALL_MS, ...(signal && { signal }) })
  if (code !== 0) throw missing(`${command} ${args.join(' ')} failed: ${stderr.trim().split('\n').at(-1) ?? ''}`)
}

function missing(what: string): LocalError {
  return new LocalError('QEMU_MISSING', `QEMU is not on this machine: ${what}`)
}
