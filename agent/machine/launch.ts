import { spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chown, mkdir, open, rm, stat, writeFile, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isMissing, isTaken } from '../durable-file.ts'
import { AgentError } from '../errors.ts'
import type { MachinePaths } from '../paths.ts'
import { keepBounded, readEnd } from './bounded-log.ts'
import { processOf, type HostProcess } from './processes.ts'

/** User and group that a machine's process runs as; undefined: as the agent. */
export interface Owner {
  readonly uid: number
  readonly gid: number
}

/** A place for a machine's sockets and logs, ready for its process. */
export interface LaunchPad extends AsyncDisposable {
  readonly log: FileHandle
  /** Where the log of this process begins. */
  readonly logStart: number
}

export const QEMU_LOG_BYTES = 64 * 1024

/** Makes what a machine's process needs to find. Harmless when it is there already. */
export async function preparePad(paths: MachinePaths, owner: Owner | undefined): Promise<LaunchPad> {
  const opening = openQemuLog(paths.qemuLog)
  const others = [makeRunDir(paths, owner), makeSerialLog(paths, owner)]
  try {
    const [log] = await Promise.all([opening, ...others])
    const { size } = await log.stat()
    return { log, logStart: size, [Symbol.asyncDispose]: () => log.close() }
  } catch (error) {
    // None of them goes on alone, and nobody else would close the log.
    const [opened] = await Promise.allSettled([opening, ...others])
    if (opened.status === 'fulfilled') await opened.value.close()
    throw error
  }
}

async function openQemuLog(path: string): Promise<FileHandle> {
  await keepBounded(path, QEMU_LOG_BYTES)
  return open(path, 'a', 0o600)
}

async function makeRunDir({ runDir }: MachinePaths, owner: Owner | undefined): Promise<void> {
  const [isNew] = await Promise.all([makeFolder(runDir), requireSpace(dirname(runDir))])
  if (!owner || (!isNew && (await stat(runDir)).uid === owner.uid)) return
  if (!isNew) {
    // What another user of it left behind, the machine's own could not write to.
    await rm(runDir, { recursive: true })
    await mkdir(runDir, { mode: 0o700 })
  }
  await chown(runDir, owner.uid, owner.gid)
}

/** False when it is there already. The agent's own run folder, which has another mode, is not made with it. */
async function makeFolder(path: string): Promise<boolean> {
  try {
    await mkdir(path, { mode: 0o700 })
    return true
  } catch (error) {
    if (!isTaken(error)) throw error
    return false
  }
}

/** Throws what a full file system answers. QEMU would end because of its pid file, and not say why it cannot be written. */
async function requireSpace(folder: string): Promise<void> {
  const path = join(folder, `${randomUUID()}.tmp`)
  try {
    await writeFile(path, 'pid')
  } finally {
    await rm(path, { force: true })
  }
}

async function makeSerialLog({ serialLog }: MachinePaths, owner: Owner | undefined): Promise<void> {
  const file = await open(serialLog, 'a', 0o600)
  try {
    if (owner) await file.chown(owner.uid, owner.gid)
  } finally {
    await file.close()
  }
}

/** Removes what `preparePad` made. The process must be gone. */
export async function clearPad(paths: MachinePaths): Promise<void> {
  const files = [paths.serialLog, `${paths.serialLog}.1`, paths.qemuLog, `${paths.qemuLog}.1`]
  await Promise.all(files.map((file) => rm(file, { force: true })))
  await clearRunDir(paths)
}

/** Removes the sockets and the pid file, which a process that is killed leaves behind. It must be gone. */
export async function clearRunDir({ runDir }: MachinePaths): Promise<void> {
  await rm(runDir, { recursive: true, force: true })
}

export interface Launched {
  readonly process: HostProcess
  readonly child: ChildProcess
}

/**
 * Starts QEMU in a session of its own, so that it outlives the agent, and as its own user from its first instruction:
 * QEMU's -runas and -daemonize do not go together with its sandbox.
 */
export async function launch(
  program: string,
  args: readonly string[],
  log: FileHandle,
  owner: Owner | undefined,
): Promise<Launched> {
  const child = spawn(program, args, {
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
    cwd: '/',
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C' },
    ...owner,
  })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', (cause) => {
      const what = isMissing(cause) ? 'QEMU is not installed on this host' : 'QEMU cannot be started'
      reject(new AgentError('QEMU_UNAVAILABLE', what, { cause }))
    })
  })
  child.unref()
  const process = child.pid === undefined ? undefined : processOf(child.pid)
  if (!process) throw new AgentError('INTERNAL', 'QEMU ended at once')
  return { process, child }
}

/** Why QEMU ended, as it printed it: one sentence, without options and without the folders of this host. */
export async function lastWords(paths: MachinePaths, logStart: number): Promise<string> {
  return toSentence(await readEnd(paths.qemuLog, logStart, 4096))
}

/** See `lastWords`. */
export function toSentence(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !/: (warning|info): /.test(line))
  // Behind its complaint may stand how to use the option.
  const last = lines.findLast((line) => /^qemu\S*: /.test(line)) ?? lines.at(-1) ?? 'QEMU ended without a message'
  return last
    .replace(/^qemu\S*: /, '')
    .replace(/^-\w[\w-]* (\{.*?\}|\S+): /, '')
    .replaceAll(/'\/[^']*\/([^'/]+)'/g, "'$1'")
    .replaceAll(/(\/[\w.@+-]+)+\/([\w.@+-]+)/g, '$2')
    .trim()
    .slice(0, 300)
}
