import { open, rm, stat, statfs } from 'node:fs/promises'
import type { ObservedStorage } from '../contract.ts'
import type { TemporaryNames } from './files.ts'

/** Why a folder cannot be used. The message is one sentence for a user, which says what to do. */
export type Problem = NonNullable<ObservedStorage['problem']>

// Full is less than 64 MiB or 1 % of the space, whichever is smaller: QEMU pauses a guest at the first write that fails.
const FULL_BYTES = 64 * 2 ** 20
const FULL_SHARE = 0.01
const full: Problem = { code: 'Full', message: 'There is no space left: free some, or give the file system more' }

/** Runs a step that looks at a folder; what the system answers instead is a problem with the folder. */
export async function problemOf(
  folder: string,
  step: () => Promise<Problem | undefined>,
): Promise<Problem | undefined> {
  try {
    return await step()
  } catch (error) {
    const problem = toProblem(error instanceof Error && 'code' in error ? error.code : undefined, folder)
    if (!problem) throw error
    return problem
  }
}

const kinds = new Map<unknown, keyof typeof problems>([
  ['ENOENT', 'missing'],
  ['ENAMETOOLONG', 'missing'],
  ...(['EIO', 'ESTALE', 'ENXIO', 'ENODEV'] as const).map((code) => [code, 'silent'] as const),
  ['ENOTDIR', 'notAFolder'],
  ...(['EROFS', 'EACCES', 'EPERM'] as const).map((code) => [code, 'notWritable'] as const),
  ['ENOSPC', 'full'],
  ['EDQUOT', 'full'],
])

const problems = {
  missing: (folder: string): Problem => ({
    code: 'PathMissing',
    message: `There is no folder ${folder} on this host: make it, or mount what belongs there`,
  }),
  silent: (folder: string): Problem => ({
    code: 'PathMissing',
    message: `The folder ${folder} does not answer: look after its disk or mount`,
  }),
  notAFolder: (folder: string): Problem => ({
    code: 'NotADirectory',
    message: `${folder} is not a folder on this host: name a folder`,
  }),
  notWritable: (folder: string): Problem => ({
    code: 'NotWritable',
    message: `The agent cannot write into ${folder}: make it writable for the agent`,
  }),
  full: (): Problem => full,
} as const

function toProblem(code: unknown, folder: string): Problem | undefined {
  const kind = kinds.get(code)
  return kind && problems[kind](folder)
}

/** Throws what `problemOf` understands. */
export async function objectionToFolder(folder: string): Promise<Problem | undefined> {
  return (await stat(folder)).isDirectory() ? undefined : problems.notAFolder(folder)
}

/** Tries it: what the mode says is no proof, least of all to root or on a file system that is mounted read-only. */
export async function objectionToWriting(folder: string, names: TemporaryNames): Promise<Problem | undefined> {
  const path = names.path(folder)
  const file = await open(path, 'wx', 0o600)
  await file.close()
  await rm(path)
  return undefined
}

export type Space = Pick<ObservedStorage, 'capacityBytes' | 'availableBytes'>

/** Space for those who are not root, which guests are not. Nothing, where there is no such folder. */
export async function measure(folder: string): Promise<Space> {
  try {
    const { bsize, blocks, bavail } = await statfs(folder)
    return { capacityBytes: bsize * blocks, availableBytes: bsize * bavail }
  } catch {
    return { capacityBytes: 0, availableBytes: 0 } // Its problem says more than an error here could.
  }
}

export function objectionToSpace({ capacityBytes, availableBytes }: Space): Problem | undefined {
  return availableBytes < Math.min(FULL_BYTES, capacityBytes * FULL_SHARE) ? full : undefined
}
