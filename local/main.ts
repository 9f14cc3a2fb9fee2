import { parseArgs } from 'node:util'
import { resolve } from 'node:path'
import { logLevels } from '../lib/log-levels.ts'
import type { DetachOptions } from './commands/detach.ts'
import { LocalError } from './errors.ts'
import { homeAt, homeFolder, refuseUnusableHome } from './home.ts'
import type { RunOptions } from './platform/run.ts'
import { newTerminal, type Terminal } from './terminal.ts'

const USAGE = `usage:
  npm start [-- OPTIONS]   start Holdfast on this machine: control plane, controllers, agent, a virtual machine
    --detach               return when all is ready; it runs on until npm stop
    --port NUMBER          port of the API server (kept; the first time a free one)
    --agent-port NUMBER    port of the agent (likewise)
    --controllers NUMBER   processes of the controllers, 1 to 5: one leads, and another one takes over when it fails
    --kubeconfig FILE      use a cluster that exists instead of starting one
    --simulated-hosts NUMBER
                           1 to 500 hosts without QEMU, to measure the platform with; machines on them are only told of
    --start-delay MS       how long a machine takes to start on those (0)
  npm stop [-- --keep-guests]
                           end it, guests included, or leave them running: the next start takes them over
  npm run status [-- --all]
                           say what runs; of many hosts and machines the first, or all
  npm run backup -- FILE   write the state of the platform and its keys into FILE, while it runs
  npm run restore -- FILE  put that state back, while it does not run; guests and disks stay as they are

HOLDFAST_HOME names the folder of all state.`

const options = {
  detach: { type: 'boolean' },
  port: { type: 'string' },
  'agent-port': { type: 'string' },
  controllers: { type: 'string' },
  kubeconfig: { type: 'string' },
  'simulated-hosts': { type: 'string' },
  'start-delay': { type: 'string' },
  'keep-guests': { type: 'boolean' },
  all: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

/** Runs one command. Loads no other: to load what a start needs takes longer than `npm stop`. Returns the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const { values, command, file } = parse(args)
  const { env } = process
  const terminal = newTerminal(process.stdout)
  if (values.help === true) {
    terminal.print(USAGE)
    return 0
  }
  const home = homeAt(homeFolder(env), env)
  await refuseUnusableHome(home)
  switch (command) {
    case 'start':
      return startWith(values, { home, env, args }, terminal)
    case 'stop': {
      const { stop } = await import('./commands/stop.ts')
      return stop(home, values['keep-guests'] === true, terminal)
    }
    case 'backup': {
      const { backup } = await import('./commands/backup.ts')
      return backup(home, toFile(file, env), terminal)
    }
    case 'restore': {
      const { restore } = await import('./commands/restore.ts')
      return restore(home, toFile(file, env), terminal)
    }
    case 'status': {
      const { status } = await import('./commands/status.ts')
      return status(home, terminal, values.all === true)
    }
    default:
      throw new LocalError('USAGE', `there is no command ${command}\n${USAGE}`)
  }
}

type Values = ReturnType<typeof parse>['values']

async function startWith(values: Values, { home, env, args }: DetachOptions, terminal: Terminal): Promise<number> {
  const kubeconfig = values.kubeconfig === undefined ? undefined : toFile(values.kubeconfig, env)
  const wanted = {
    port: toPort(values.port, '--port'),
    agentPort: toPort(values['agent-port'], '--agent-port'),
    controllers: toCount('--controllers', values.controllers ?? '1', MAX_CONTROLLERS),
    simulated: toSimulated(values['simulated-hosts'], values['start-delay']),
  }
  if (wanted.port !== undefined && wanted.port === wanted.agentPort) {
    throw new LocalError('USAGE', `--port and --agent-port are both ${wanted.port}: choose two different ones`)
  }
  refuseSettings(env)
  if (values.detach !== true) {
    const { start } = await import('./commands/start.ts')
    return start({ home, env, kubeconfig, ...wanted }, terminal)
  }
  const { detach } = await import('./commands/detach.ts')
  return detach({ home, env, args: args.filter((arg) => arg !== '--detach') }, terminal)
}

/** What a program does not understand ends it later, with words that nobody sees. */
function refuseSettings({ GOMEMLIMIT, HOLDFAST_LOG_LEVEL: level }: NodeJS.ProcessEnv): void {
  if (GOMEMLIMIT !== undefined && !/^(off|\d+(B|[KMGT]iB)?)?$/.test(GOMEMLIMIT)) {
    throw new LocalError(
      'USAGE',
      `GOMEMLIMIT=${GOMEMLIMIT} is no amount of memory: write one such as 1GiB, or unset it`,
    )
  }
  if (level !== undefined && !logLevels.some((known) => known === level)) {
    throw new LocalError(
      'USAGE',
      `HOLDFAST_LOG_LEVEL=${level} is no log level: write ${logLevels.join(', ')}, or unset it`,
    )
  }
}

function parse(args: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true })
    const [command = 'start', ...words] = positionals
    const [file, ...rest] = command === 'backup' || command === 'restore' ? words : [undefined, ...words]
    if (rest.length > 0) throw new Error(`${rest[0]} is one word too many`)
    return { values, command, file }
  } catch (error) {
    throw new LocalError('USAGE', `${error instanceof Error ? error.message : String(error)}\n${USAGE}`, {
      cause: error,
    })
  }
}

/** A path as it was typed, where npm was called. */
function toFile(text: string | undefined, env: NodeJS.ProcessEnv): string {
  if (text === undefined) throw new LocalError('USAGE', `name the file of the backup\n${USAGE}`)
  if (text === '') throw new LocalError('USAGE', `the name of a file is empty: write it out\n${USAGE}`)
  return resolve(env['INIT_CWD'] ?? '.', text)
}

function toPort(text: string | undefined, option: string): number | undefined {
  if (text === undefined) return undefined
  const port = Number(text)
  if (/^\d+$/.test(text) && port >= 1 && port <= 65_535) return port
  throw new LocalError('USAGE', `${option} ${text} is not a port: write a number from 1 to 65535`)
}

const MAX_CONTROLLERS = 5
const MAX_SIMULATED = 500
const MAX_DELAY_MS = 600_000

function toCount(option: string, text: string, max: number, min = 1): number {
  const count = Number(text)
  if (/^\d+$/.test(text) && count >= min && count <= max) return count
  throw new LocalError('USAGE', `${option} ${text} is not possible: write a number from ${min} to ${max}`)
}

function toSimulated(count: string | undefined, delay: string | undefined): RunOptions['simulated'] {
  if (count !== undefined) {
    const startMs = toCount('--start-delay', delay ?? '0', MAX_DELAY_MS, 0)
    return { count: toCount('--simulated-hosts', count, MAX_SIMULATED), startMs }
  }
  if (delay === undefined) return undefined
  throw new LocalError('USAGE', '--start-delay is of simulated hosts: name their number with --simulated-hosts too')
}

/** What a person can help with in a sentence; the rest with all that a report of it needs. */
function explain(error: unknown): string {
  if (error instanceof LocalError) return error.message
  if (!(error instanceof Error)) return String(error)
  const isFull = 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')
  return isFull ? `the disk is full (${error.message}): free some space, and try again` : (error.stack ?? error.message)
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const isExpected = error instanceof LocalError
  process.stderr.write(`${explain(error)}\n`)
  process.exitCode = isExpected && error.code === 'USAGE' ? 2 : 1
}
