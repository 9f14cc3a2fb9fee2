import { lstat, readlink } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import type { ObservedHost } from '../contract.ts'
import { findProgram, run, RunError, type Finished, type Limits } from '../run.ts'

/** What keeps a program that reads a hostile file away from the host. With `None`, only limits do. */
export type SandboxKind = ObservedHost['imageSandbox']

// Where a program and its libraries are. On most hosts all but the first are symbolic links into it.
const systemFolders = ['/usr', '/lib', '/lib32', '/lib64', '/bin']
/** Name of the only file of the host that is seen from inside. */
const INPUT = '/input'
/** Its descriptor: the first that `run` hands on. */
const INPUT_FD = '/proc/self/fd/3'

/** Looks whether bubblewrap works here: it may be missing, or user namespaces may be switched off. */
export async function probeSandbox(): Promise<SandboxKind> {
  try {
    const [program, args] = ['/usr/bin/true', [] as const]
    const { code } = await run('bwrap', [...(await namespaceArgs()), '--', program, ...args])
    return code === 0 ? 'Bubblewrap' : 'None'
  } catch (error) {
    if (error instanceof RunError) return 'None'
    throw error
  }
}

export interface SandboxedCommand {
  readonly program: string
  /** The input file stands in for its name. */
  readonly args: (input: string) => readonly string[]
  /** Open for reading. It is given as a descriptor, so that it is the file that was looked at, whatever its name is now. */
  readonly input: FileHandle
  readonly limits: Omit<Limits, 'fileBytes'>
}

/**
 * Runs a program that sees one file, read-only, and nothing else of the host but its programs; no network.
 * Throws `RunError`. A child killed by a limit ends with a code above 128 inside bubblewrap.
 */
export async function runSandboxed(kind: SandboxKind, command: SandboxedCommand): Promise<Finished> {
  const { program, args, input, limits } = command
  const options = { ...limits, fileBytes: 0, files: [input] }
  if (kind === 'None') return run(program, args(INPUT_FD), options)
  const path = await findProgram(program)
  const wrapped = [...(await namespaceArgs()), ...programArgs(path), '--ro-bind', INPUT_FD, INPUT, '--', path]
  return run('bwrap', [...wrapped, ...args(INPUT)], options)
}

async function namespaceArgs(): Promise<string[]> {
  const folders = await Promise.all(systemFolders.map(bindArgs))
  return [...isolation(), '--die-with-parent', '--new-session', ...folders.flat(), '--dev', '/dev']
}

function isolation(): string[] {
  const all = ['--unshare-ipc', '--unshare-pid', '--unshare-net', '--unshare-uts', '--unshare-cgroup-try']
  if (process.getuid?.() !== 0) return [...all, '--unshare-user']
  // Root inside a user namespace may not read a file that belongs to another user. So there is none, and of root's
  // powers only this one is left: with nothing but read-only mounts it can only read the one file.
  return [...all, '--cap-drop', 'ALL', '--cap-add', 'CAP_DAC_OVERRIDE']
}

async function bindArgs(folder: string): Promise<string[]> {
  try {
    const isLink = (await lstat(folder)).isSymbolicLink()
    return isLink ? ['--symlink', await readlink(folder), folder] : ['--ro-bind', folder, folder]
  } catch {
    return [] // Not on this host. Should it be needed after all, the program does not start.
  }
}

function programArgs(path: string): string[] {
  return systemFolders.some((folder) => path.startsWith(`${folder}/`)) ? [] : ['--ro-bind', path, path]
}
