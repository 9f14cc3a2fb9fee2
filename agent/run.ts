import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { access, constants } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import type { Readable } from 'node:stream'

const MIB = 2 ** 20

/** What a child may use. The kernel enforces memory, CPU, file size and open files; this process the rest. */
export interface Limits {
  readonly timeoutMs: number
  readonly cpuSeconds: number
  /** Of address space. */
  readonly memoryBytes: number
  /** Largest file that it may write; 0 for a program that only reads. */
  readonly fileBytes?: number
  /** Of standard output; beyond it the child is killed. Standard error is cut instead. */
  readonly outputBytes: number
}

const defaults: Limits = { timeoutMs: 30_000, cpuSeconds: 30, memoryBytes: 1024 * MIB, outputBytes: MIB }
const STDERR_BYTES = 16 * 1024
const OPEN_FILES = 256
const STACK_BYTES = 2 * MIB
// Nothing of ours: messages are in English, and no setting or secret gets out. glibc else reserves 128 MiB of address
// space for every thread, so that a limit that is ample would let the threads of qemu-img fail by chance.
const ENVIRONMENT = { MALLOC_ARENA_MAX: '1' }

export interface RunOptions extends Partial<Limits> {
  /** Descriptors that the child gets as 3, 4 and so on. */
  readonly files?: readonly { readonly fd: number }[]
}

/** How a child ended by itself. */
export interface Finished {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** `ENOENT`: there is no such program. `KILLED`: by a limit, or by somebody else. */
export type RunErrorCode = 'ENOENT' | 'PRLIMIT_MISSING' | 'TIMEOUT' | 'KILLED' | 'TOO_MUCH_OUTPUT'

/** A child that was not started, or did not end by itself. */
export class RunError extends Error {
  override readonly name = 'RunError'
  readonly code: RunErrorCode

  constructor(code: RunErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

// Not the PATH of whoever started the agent: which program runs must not depend on that.
const folders = ['/usr/local/bin', '/usr/bin', '/bin', '/usr/local/sbin', '/usr/sbin', '/sbin']

/** Absolute path of a program. Throws `RunError` with code `ENOENT`. */
export async function findProgram(program: string): Promise<string> {
  const candidates = isAbsolute(program) ? [program] : folders.map((folder) => join(folder, program))
  for (const candidate of candidates) if (await isExecutable(candidate)) return candidate
  throw new RunError('ENOENT', `there is no program ${program} on this host`)
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return true
  } catch {
    return false // Whatever keeps it from being run: to us it is not there.
  }
}

/**
 * Runs a program to its end: no shell, no environment, nothing on standard input.
 * A status other than 0 is an answer. Throws `RunError` for everything else.
 */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const limits = { ...defaults, ...options }
  const [prlimit, path] = await Promise.all([findPrlimit(), findProgram(program)])
  const child = spawn(prlimit, [...prlimitArgs(limits), '--', path, ...args], {
    env: ENVIRONMENT,
    stdio: ['ignore', 'pipe', 'pipe', ...(options.files ?? []).map(({ fd }) => fd)],
    timeout: limits.timeoutMs,
    killSignal: 'SIGKILL',
  })
  return finish(child, program, limits)
}

async function findPrlimit(): Promise<string> {
  try {
    return await findProgram('prlimit')
  } catch (cause) {
    throw new RunError('PRLIMIT_MISSING', 'the program prlimit is needed (package util-linux)', { cause })
  }
}

function prlimitArgs({ cpuSeconds, memoryBytes, fileBytes }: Limits): string[] {
  return [
    `--cpu=${cpuSeconds}`,
    `--as=${memoryBytes}`,
    `--nofile=${OPEN_FILES}`,
    `--stack=${STACK_BYTES}`,
    '--core=0',
    ...(fileBytes === undefined ? [] : [`--fsize=${fileBytes}`]),
  ]
}

async function finish(child: ChildProcess, program: string, limits: Limits): Promise<Finished> {
  const startedMs = performance.now()
  const stdout = collect(child.stdout, limits.outputBytes, () => child.kill('SIGKILL'))
  const stderr = collect(child.stderr, STDERR_BYTES)
  // Rejects when the child cannot be started at all.
  await once(child, 'close')
  if (stdout.isCut()) throw new RunError('TOO_MUCH_OUTPUT', `${program} wrote more than ${limits.outputBytes} bytes`)
  const { exitCode: code, signalCode } = child
  if (code !== null) return { code, stdout: stdout.text(), stderr: stderr.text() }
  if (performance.now() - startedMs >= limits.timeoutMs) {
    throw new RunError('TIMEOUT', `${program} did not end within ${limits.timeoutMs} ms`)
  }
  throw new RunError('KILLED', `${program} was killed by ${signalCode}: ${stderr.text()}`)
}

interface Collected {
  text(): string
  isCut(): boolean
}

/** Keeps the first bytes of a stream. What comes later is read too, or the child would wait for ever. */
function collect(stream: Readable | null, maxBytes: number, onTooMuch?: () => void): Collected {
  const chunks: Buffer[] = []
  let length = 0
  stream?.on('data', (chunk: Buffer) => {
    if (length < maxBytes) chunks.push(chunk.subarray(0, maxBytes - length))
    length += chunk.length
    if (length > maxBytes) onTooMuch?.()
  })
  return { text: () => Buffer.concat(chunks).toString('utf8'), isCut: () => length > maxBytes }
}
