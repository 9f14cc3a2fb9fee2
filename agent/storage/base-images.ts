import { createHash } from 'node:crypto'
import { open, readdir, rename, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { Log } from '../../lib/log.ts'
import type { DesiredDisk } from '../contract.ts'
import { syncFolder } from '../durable-file.ts'
import { AgentError } from '../errors.ts'
import { examine, type ExamineDeps } from './examine.ts'
import { DISKS, IMAGES, listIfThere, writeAt, type Folder } from './files.ts'
import { openImportFile } from './import-file.ts'
import { basePath, readBase, readDiskFile, toBase, type Base } from './own-image.ts'

type ImageFile = NonNullable<DesiredDisk['image']>

/**
 * Copies of image files on the storages, which disks are backed by. Each is named by its SHA-256, checked when it is
 * made, never written again, and shared by all disks of that storage.
 */
export interface BaseImages {
  /** Does work that makes a disk on an image, with the copy in place. It is not removed meanwhile. */
  using<T>(folder: Folder, image: ImageFile, work: (base: Base, virtualSizeBytes: number) => Promise<T>): Promise<T>
  /** Removes the copies that no disk is backed by, once none is being made. One agent a storage, as with a local one. */
  prune(folder: Folder): Promise<void>
}

export interface BaseImagesDeps extends ExamineDeps {
  readonly importDir: string
  /** Of files that were downloaded, each named by its SHA-256. */
  readonly downloadDir: string
  readonly log: Log
}

const CHUNK_BYTES = 2 ** 20
const READ_ONLY = 0o444

export function newBaseImages(deps: BaseImagesDeps): BaseImages {
  const copying = new Map<string, Promise<number>>()
  const users = new Map<string, number>()
  const pruning = new Map<string, Promise<void>>()
  const due = new Set<string>()

  const ensure = async (folder: Folder, base: Base, image: ImageFile): Promise<number> => {
    const there = await readBase(folder, base)
    if (there !== undefined) return there
    const path = basePath(folder, base)
    const copy = copying.get(path) ?? copyImage(folder, base, image, deps).finally(() => copying.delete(path))
    copying.set(path, copy)
    return copy
  }
  const pruneIfQuiet = (folder: Folder): void => {
    const { path } = folder
    if (!due.has(path) || pruning.has(path) || (users.get(path) ?? 0) > 0) return
    due.delete(path)
    const work = prune(folder, deps).finally(() => {
      pruning.delete(path)
      pruneIfQuiet(folder)
    })
    pruning.set(path, work)
  }

  return {
    using: async (folder, image, work) => {
      const base = baseOf(image)
      // Between the end of the wait and the count nothing else runs, so no removal can begin there.
      while (pruning.has(folder.path)) await pruning.get(folder.path)
      users.set(folder.path, (users.get(folder.path) ?? 0) + 1)
      try {
        return await work(base, await ensure(folder, base, image))
      } finally {
        users.set(folder.path, (users.get(folder.path) ?? 1) - 1)
        pruneIfQuiet(folder)
      }
    },
    prune: async (folder) => {
      due.add(folder.path)
      pruneIfQuiet(folder)
      await pruning.get(folder.path)
    },
  }
}

function baseOf({ sha256, format }: ImageFile): Base {
  const base = toBase(`${sha256.toLowerCase()}.${format}`)
  if (!base) throw new AgentError('BAD_REQUEST', 'The SHA-256 of an image is 64 hexadecimal digits')
  return base
}

async function copyImage(folder: Folder, base: Base, image: ImageFile, deps: BaseImagesDeps): Promise<number> {
  const opened = await openSource(image, deps)
  if ('refusal' in opened) throw new AgentError('IMAGE_REJECTED', opened.refusal.message)
  await using source = opened.file
  const imagesPath = join(folder.path, IMAGES)
  const temporary = folder.names.path(imagesPath)
  try {
    const size = await fill(temporary, source, image, deps)
    await rename(temporary, basePath(folder, base))
    await syncFolder(imagesPath)
    return size
  } finally {
    await rm(temporary, { force: true })
  }
}

/** By then the SHA-256 is known to be one, so that it leads nowhere else. */
function openSource({ path, format, sha256 }: ImageFile, { importDir, downloadDir }: BaseImagesDeps) {
  if (path !== undefined) return openImportFile(importDir, { path, format })
  return openImportFile(downloadDir, { path: sha256.toLowerCase(), format })
}

/** Copies, and only then looks: what is checked is what the disks will use. Returns the size of the disk in it. */
async function fill(temporary: string, source: FileHandle, image: ImageFile, deps: BaseImagesDeps): Promise<number> {
  await using target = await open(temporary, 'wx+', READ_ONLY)
  const sha256 = await copyBytes(source, target)
  if (sha256 !== image.sha256.toLowerCase()) {
    const name = image.path ?? `downloaded as ${image.sha256}`
    const message = `The file ${name} is not the one that was checked: its SHA-256 is ${sha256}; put the right one back`
    throw new AgentError('IMAGE_REJECTED', message)
  }
  const examined = await examine(target, image.format, deps)
  if ('refusal' in examined) throw new AgentError('IMAGE_REJECTED', examined.refusal.message)
  await target.chmod(READ_ONLY)
  await target.sync()
  return examined.virtualSizeBytes
}

/** Copies a file, holes as holes, and returns the SHA-256 of what was read. */
async function copyBytes(source: FileHandle, target: FileHandle): Promise<string> {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
  const zeros = Buffer.alloc(CHUNK_BYTES)
  let position = 0
  for (;;) {
    const { bytesRead } = await source.read(buffer, 0, CHUNK_BYTES, position)
    if (bytesRead === 0) break
    const chunk = buffer.subarray(0, bytesRead)
    hash.update(chunk)
    if (!chunk.equals(zeros.subarray(0, bytesRead))) await writeAt(target, chunk, position)
    position += bytesRead
  }
  await target.truncate(position)
  return hash.digest('hex')
}

async function prune(folder: Folder, { log }: BaseImagesDeps): Promise<void> {
  try {
    const imagesPath = join(folder.path, IMAGES)
    const bases = (await listIfThere(imagesPath)).flatMap((name) => toBase(name) ?? [])
    if (bases.length === 0) return
    // Throws at a disk that cannot be read: then none is removed, for it may be backed by any of them.
    const used = await basesInUse(folder)
    const unused = bases.filter(({ file }) => !used.has(file))
    await Promise.all(unused.map((base) => rm(basePath(folder, base), { force: true })))
    if (unused.length === 0) return
    await syncFolder(imagesPath)
    log.info({ storage: folder.name, images: unused.map(({ file }) => file) }, 'images that no disk uses are removed')
  } catch (error) {
    // They only take space, and nobody waits for it: the next disk that is deleted tries again.
    log.warn({ storage: folder.name, err: error }, 'images that no disk uses cannot be removed')
  }
}

async function basesInUse(folder: Folder): Promise<Set<string>> {
  const names = await readdir(join(folder.path, DISKS))
  const ids = names.filter((name) => name.endsWith('.qcow2')).map((name) => name.slice(0, -'.qcow2'.length))
  const used = new Set<string>()
  for (const id of ids) {
    const base = (await readDiskFile(folder, id))?.base
    if (base) used.add(base.file)
  }
  return used
}
