import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { LocalError } from '../errors.ts'

const MAX_OUTPUT_BYTES = 8 * 1024 * 1024

export interface Command {
  readonly command: string
  readonly args: readonly string[]
  readonly timeoutMs: number
  readonly cwd?: string
  /** The whole environment; without it, this process's own. */
  readonly env?: NodeJS.ProcessEnv
  readonly input?: string
  /** Called with each line of standard error as it comes. */
  readonly onLine?: (line: string) => void
  /** Ends the command. */
  readonly signal?: AbortSignal
}

export interface CommandResult {
  /** Exit code; 128 when a signal ended it. */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs a program to its end, without a shell. Throws `COMMAND_MISSING` when there is no such program and
 * `COMMAND_FAILED` when it takes too long; its exit code is the caller's to judge.
 */
export async function runCommand(wanted: Command): Promise<CommandResult> {
  const { command, args, timeoutMs, input = '' } = wanted
  const timeout = AbortSignal.timeout(timeoutMs)
  const signal = wanted.signal ? AbortSignal.any([timeout, wanted.signal]) : timeout
  const child = spawn(command, [...args], {
    signal,
    killSignal: 'SIGKILL',
    stdio: 'pipe',
    ...(wanted.cwd !== undefined && { cwd: wanted.cwd }),
    ...(wanted.env && { env: wanted.env }),
  })
  child.stdin.on('error', () => undefined) // A program that does not read its input has a reason, and an exit code.
  child.stdin.end(input)
  const stdout = collect(child.stdout)
  const stderr = collect(child.stderr)
  if (wanted.onLine) createInterface(child.stderr).on('line', wanted.onLine)
  try {
    await once(child, 'close')
  } catch (error) {
    await untilDead(child)
    throw toLocalError(error, wanted, timeout)
  }
  return { code: child.exitCode ?? 128, stdout: stdout(), stderr: stderr() }
}

/** The caller may remove its files next. What it started in turn is not waited for, and may hold its output open. */
async function untilDead(child: ChildProcessWithoutNullStreams): Promise<void> {
  child.stdout.destroy()
  child.stderr.destroy()
  if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = []
  let length = 0
  stream.on('data', (chunk: Buffer) => {
    length += chunk.length
    if (length <= MAX_OUTPUT_BYTES) chunks.push(chunk)
  })
  return () => Buffer.concat(chunks).toString()
}

function toLocalError(error: unknown, { command, timeoutMs }: Command, timeout: AbortSignal): unknown {
  if (timeout.aborted) {
    return new LocalError('COMMAND_FAILED', `${command} did not end within ${timeoutMs / 1000} s`, { cause: error })
  }
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
    return new LocalError('COMMAND_MISSING', `there is no program ${command}`, { cause: error })
  }
  return error
}
