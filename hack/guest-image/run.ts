import { basename } from 'node:path'
import { LocalError } from '../../local/errors.ts'
import { runCommand, type CommandResult } from '../../local/processes/run-command.ts'
import { GuestImageError } from './errors.ts'

const OTHERWISE = 'or give the path of another bootable image'

export interface RunOptions {
  readonly timeoutMs: number
  readonly cwd?: string
  /** The whole environment of the program. Without it, it inherits ours: apt takes its proxy from there. */
  readonly env?: NodeJS.ProcessEnv
}

/** Runs a program that has to succeed. Throws GuestImageError ToolMissing, TimedOut or ToolFailed. */
export async function run(command: string, args: readonly string[], options: RunOptions): Promise<CommandResult> {
  const result = await tryRun(command, args, options)
  if (result.code === 0) return result
  const why = complaint(result.stderr) ?? 'it said nothing'
  throw new GuestImageError('ToolFailed', `${basename(command)} failed (${why}): correct that, ${OTHERWISE}`)
}

/** Runs a program whose exit code is the caller's to judge. Throws GuestImageError ToolMissing or TimedOut. */
export async function tryRun(command: string, args: readonly string[], options: RunOptions): Promise<CommandResult> {
  try {
    return await runCommand({ command, args, ...options })
  } catch (error) {
    throw explain(basename(command), error)
  }
}

function explain(name: string, cause: unknown): unknown {
  if (!(cause instanceof LocalError)) return cause
  if (cause.code === 'COMMAND_MISSING') {
    return new GuestImageError('ToolMissing', `Install ${name}, which was not found, ${OTHERWISE}`, { cause })
  }
  return new GuestImageError('TimedOut', `${name} did not end in time: try again, ${OTHERWISE}`, { cause })
}

/** The line of a program's standard error that says most: apt's first error or warning, or else the last line. */
export function complaint(stderr: string): string | undefined {
  const lines = stderr.split('\n').flatMap((line) => line.trim() || [])
  const first = ['E: ', 'W: '].flatMap((level) => lines.find((line) => line.startsWith(level)) ?? [])[0]
  return first?.slice('E: '.length) ?? lines.at(-1)
}
