import { constants, lstat, open, readlink, realpath, type FileHandle } from 'node:fs/promises'
import { isAbsolute, join, sep } from 'node:path'
import type { ImageQuery, InspectedImage } from '../contract.ts'

/** Why an image file is not taken. The message is one sentence for a user, which says what to do. */
export type Refusal = Omit<Extract<InspectedImage, { state: 'Refused' }>, 'state'>

/** An image file below the import folder, open for reading. */
export interface ImportFile {
  readonly file: FileHandle
  /** Changes whenever its content may have changed. */
  readonly identity: string
  readonly sizeBytes: number
}

/**
 * Opens a file below the import folder once, for whoever then looks at it: its name may stand for another file by
 * then. The caller closes it.
 */
export async function openImportFile(
  importDir: string,
  { path, format }: Pick<ImageQuery, 'path' | 'format'>,
): Promise<ImportFile | { readonly refusal: Refusal }> {
  const objection = objectionToName(path)
  if (objection) return { refusal: objection }
  try {
    const folder = await realpath(importDir)
    const target = await realpath(join(folder, path))
    if (!isBelow(folder, target)) return { refusal: outside(path) }
    // Before it is opened: opening a device may already do something.
    if (!(await lstat(target)).isFile()) return { refusal: notAFile(path) }
    return await openBelow(folder, target, { path, format })
  } catch (error) {
    return { refusal: toRefusal(error, importDir, path) }
  }
}

async function openBelow(
  folder: string,
  target: string,
  { path, format }: Pick<ImageQuery, 'path' | 'format'>,
): Promise<ImportFile | { readonly refusal: Refusal }> {
  const file = await open(target, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  let isTaken = false
  try {
    // A folder on the way may have been exchanged meanwhile, and so may the file: what is open is looked at again.
    const opened = await readlink(`/proc/self/fd/${file.fd}`)
    if (!isBelow(folder, opened)) return { refusal: outside(path) }
    const stat = await file.stat({ bigint: true })
    if (!stat.isFile()) return { refusal: notAFile(path) }
    const identity = [format, stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(':')
    isTaken = true
    return { file, identity, sizeBytes: Number(stat.size) }
  } finally {
    if (!isTaken) await file.close()
  }
}

function objectionToName(path: string): Refusal | undefined {
  if (path.includes('\0')) return outside('with a zero byte in its name')
  return isAbsolute(path) || path.split('/').includes('..') ? outside(path) : undefined
}

function isBelow(folder: string, target: string): boolean {
  return target.startsWith(folder.endsWith(sep) ? folder : `${folder}${sep}`)
}

function outside(path: string): Refusal {
  const message = `The file ${path} is outside the import folder: put the file itself into the folder, not a link to it`
  return { code: 'OutsideImportFolder', message }
}

/** Also of a file with holes: reading those takes as long. */
export function tooLarge(maxBytes: number): string {
  return `The file is larger than ${maxBytes} bytes: raise PlatformSettings spec.imports.maxImageSize, or use a smaller image`
}

function notAFile(path: string): Refusal {
  return { code: 'ImageRefused', message: `The path ${path} is not a plain file: name the image file itself` }
}

function toRefusal(error: unknown, importDir: string, path: string): Refusal {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes(code)) {
    const message = `There is no file ${path} in the import folder ${importDir} of this host: put it there`
    return { code: 'FileNotFound', message }
  }
  if (['EACCES', 'EPERM'].includes(code)) {
    return { code: 'CheckFailed', message: `The agent may not read the file ${path}: give it the right to` }
  }
  if (code === 'ELOOP') return outside(path)
  if (!['EIO', 'ESTALE'].includes(code)) throw error
  return { code: 'CheckFailed', message: `The file ${path} cannot be read: look after the disk that it is on` }
}
