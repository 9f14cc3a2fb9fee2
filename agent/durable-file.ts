import { randomUUID } from 'node:crypto'
import { open, readdir, readFile, rename, rm, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/**
 * Replaces a file so that after a crash of the host it has either the old or the new text, never a mixture.
 * The folder must exist. A file that a crash left half written ends in `.tmp` and means nothing.
 */
export async function writeDurably(path: string, text: string, mode = 0o600): Promise<void> {
  const temporary = temporaryFor(path)
  await finish(temporary, path, async () => {
    const file = await open(temporary, 'wx', mode)
    return { file, write: () => file.writeFile(text) }
  })
}

/** As `writeDurably`, into the blocks of a file that is there and becomes the new one: it needs no space. */
export async function writeIntoSpare(spare: string, path: string, text: string): Promise<void> {
  const temporary = temporaryFor(path)
  await rename(spare, temporary)
  await finish(temporary, path, async () => {
    const file = await open(temporary, 'r+')
    const write = async () => {
      await file.writeFile(text)
      await file.truncate(Buffer.byteLength(text))
    }
    return { file, write }
  })
}

function temporaryFor(path: string): string {
  return `${path}.${randomUUID()}.tmp`
}

interface Begun {
  readonly file: FileHandle
  readonly write: () => Promise<void>
}

async function finish(temporary: string, path: string, begin: () => Promise<Begun>): Promise<void> {
  try {
    const { file, write } = await begin()
    try {
      await write()
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncFolder(dirname(path))
}

/** Removes what `writeDurably` left in a folder when it was killed. Nobody may write there meanwhile. */
export async function removeLeftovers(folder: string): Promise<void> {
  const left = (await readdir(folder)).filter((name) => name.endsWith('.tmp'))
  await Promise.all(left.map((name) => rm(join(folder, name), { force: true })))
}

/** Makes what was created, renamed or removed in a folder survive a crash of the host. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** The text of a file; undefined when there is none. Every other failure throws. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

/** Whether a file system call failed because no space, no inode or none of a quota is left. */
export function isFullDisk(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')
}

/** Whether a file system call failed because there is no such file or folder. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

/** Whether a file system call failed because there is such a file or folder already. */
export function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EEXIST'
}
