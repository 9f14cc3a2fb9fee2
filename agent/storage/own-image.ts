import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isMissing } from '../durable-file.ts'
import { AgentError } from '../errors.ts'
import { diskPath, IMAGES, readAt, type Folder } from './files.ts'
import { HEADER_BYTES, parseQcow2Header, type Qcow2Header } from './qcow2-header.ts'

/** A verified copy of an image on a storage, which disks are backed by. */
export interface Base {
  /** File name below `images/`. */
  readonly file: string
  readonly format: 'qcow2' | 'raw'
}

/** A disk of ours, as its header says. */
export interface DiskFile {
  readonly path: string
  readonly sizeBytes: number
  readonly isDirty: boolean
  readonly base: Base | undefined
}

const BASE_NAME = /^[0-9a-f]{64}\.(qcow2|raw)$/
// As qemu-img stores it: from the folder of disks, so that a storage may be mounted at another place.
const BASE_PREFIX = `../${IMAGES}/`

export function basePath({ path }: Folder, { file }: Pick<Base, 'file'>): string {
  return join(path, IMAGES, file)
}

/** The name of a base as it is written into the header of a disk. */
export function backingName({ file }: Pick<Base, 'file'>): string {
  return `${BASE_PREFIX}${file}`
}

/** The base that a file name below `images/` stands for. */
export function toBase(file: string): Base | undefined {
  const format = BASE_NAME.exec(file)?.[1]
  return format === 'qcow2' || format === 'raw' ? { file, format } : undefined
}

/**
 * Reads a disk; undefined when there is none. Throws `IMAGE_REJECTED` for a file that we would not have made, so that
 * nothing opens what it refers to.
 */
export async function readDiskFile(folder: Folder, id: string): Promise<DiskFile | undefined> {
  const path = diskPath(folder, id)
  const header = await readHeader(path)
  if (!header) return undefined
  const { virtualSizeBytes: sizeBytes, isDirty, backing } = header
  if (!backing) return { path, sizeBytes, isDirty, base: undefined }
  const base = backing.file.startsWith(BASE_PREFIX) ? toBase(backing.file.slice(BASE_PREFIX.length)) : undefined
  if (!base || base.format !== backing.format) throw rejected(path, 'refers to a file that is no image of this storage')
  return { path, sizeBytes, isDirty, base }
}

/** Size of the disk in a base; undefined when there is no such copy. Throws `IMAGE_REJECTED` for one that was altered. */
export async function readBase(folder: Folder, base: Base): Promise<number | undefined> {
  const path = basePath(folder, base)
  if (base.format === 'raw') return rawSize(path)
  const header = await readHeader(path)
  if (header?.backing || header?.hasSnapshots || header?.isDirty) throw rejected(path, 'was altered')
  return header?.virtualSizeBytes
}

async function rawSize(path: string): Promise<number | undefined> {
  try {
    return Math.ceil((await stat(path)).size / 512) * 512
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

async function readHeader(path: string): Promise<Qcow2Header | undefined> {
  try {
    await using file = await open(path, 'r')
    const { size } = await file.stat()
    const parsed = parseQcow2Header(await readAt(file, 0, HEADER_BYTES), size)
    if ('fault' in parsed) throw rejected(path, parsed.fault.what)
    return parsed.header
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

function rejected(path: string, what: string): AgentError {
  return new AgentError('IMAGE_REJECTED', `The file ${path} on this host ${what}: restore it from a copy`)
}
