import { randomUUID } from 'node:crypto'
import { open, readdir, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { isMissing } from '../durable-file.ts'

/** The part of a storage that Holdfast writes into. */
export interface Folder {
  /** Name of the storage, for messages. */
  readonly name: string
  readonly path: string
  /** For what is being made in it. */
  readonly names: TemporaryNames
}

export const DISKS = 'disks'
export const IMAGES = 'images'

export function diskPath({ path }: Pick<Folder, 'path'>, id: string): string {
  return join(path, DISKS, `${id}.qcow2`)
}

/** The sidecar that says which machine a disk belongs to. */
export function claimPath({ path }: Folder, id: string): string {
  return join(path, DISKS, `${id}.claim.json`)
}

/** The disk that a sidecar is of; undefined for other files. */
export function diskOfClaim(fileName: string): string | undefined {
  return /^([0-9a-f-]{36})\.claim\.json$/.exec(fileName)?.[1]
}

/**
 * Names for files that are being made, beside the place where they are moved to. An agent recognises those that
 * it left behind when it was killed, and leaves alone those of other agents on the same storage.
 */
export interface TemporaryNames {
  path(folder: string): string
  /** Removes what an earlier process of this agent left behind in a folder. Returns how many. */
  sweep(folder: string): Promise<number>
}

export function newTemporaryNames(agentId: string): TemporaryNames {
  const process = randomUUID()
  const prefix = `.${agentId}.`
  return {
    path: (folder) => join(folder, `${prefix}${process}.${randomUUID()}.tmp`),
    sweep: async (folder) => {
      const names = await readdir(folder)
      const left = names.filter((name) => name.startsWith(prefix) && !name.startsWith(`${prefix}${process}.`))
      await Promise.all(left.map((name) => rm(join(folder, name), { force: true })))
      return left.length
    },
  }
}

/** Writes a file that must not exist yet. Its content survives a crash of the host, its name not yet. */
export async function writeNewFile(path: string, text: string, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Names in a folder; none when there is no such folder. */
export async function listIfThere(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

/** Makes the content of a file survive a crash of the host. */
export async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Reads up to `length` bytes from `position`; fewer only at the end of the file. */
export async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length)
  let filled = 0
  while (filled < length) {
    const { bytesRead } = await file.read(buffer, filled, length - filled, position + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return buffer.subarray(0, filled)
}

/** Writes all of a chunk at a position. */
export async function writeAt(file: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  let written = 0
  while (written < chunk.length) {
    const { bytesWritten } = await file.write(chunk, written, chunk.length - written, position + written)
    written += bytesWritten
  }
}
