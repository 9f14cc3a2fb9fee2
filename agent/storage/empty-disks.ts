import { open, type FileHandle } from 'node:fs/promises'
import { readAt, writeAt } from './files.ts'
import type { QemuImg } from './qemu-img.ts'

/** Image that a disk is backed by, as the disk's header names it. */
export interface Backing {
  readonly name: string
  readonly format: string
}

export interface EmptyDisks {
  /** Makes a qcow2 file without content, which must not exist yet. It survives a crash of the host, its name not yet. */
  make(path: string, sizeBytes: number, backing?: Backing): Promise<void>
}

/** The file that qemu-img makes, but for its zeros. */
interface Template {
  readonly length: number
  readonly blocks: ReadonlyMap<number, Buffer>
}

const MODE = 0o600
const BLOCK_BYTES = 4096
const ZEROS = Buffer.alloc(BLOCK_BYTES)
/** Of files for disks of up to 64 TiB; what is kept of one is some 20 KiB. */
const MAX_BYTES = 2 * 2 ** 20
const MAX_TEMPLATES = 64

/**
 * An empty qcow2 file says what size the disk has and what it is backed by, and nothing of its own. So qemu-img makes the
 * first of a kind, and all others are written as that one was: a start of qemu-img takes longer than all the rest of it.
 */
export function newEmptyDisks(qemuImg: Pick<QemuImg, 'create'>): EmptyDisks {
  const templates = new Map<string, Template>()

  const keep = (key: string, template: Template): void => {
    templates.delete(key)
    templates.set(key, template)
    const [oldest] = templates.keys()
    if (templates.size > MAX_TEMPLATES && oldest !== undefined) templates.delete(oldest)
  }

  return {
    make: async (path, sizeBytes, backing) => {
      const key = JSON.stringify([sizeBytes, backing?.name, backing?.format])
      // By ourselves, also for qemu-img: what keeps it from being made then has a code.
      await using file = await open(path, 'wx+', MODE)
      const known = templates.get(key)
      if (known) await writeAt(file, toBytes(known), 0)
      else await qemuImg.create(path, sizeBytes, backing)
      await file.sync()
      const template = known ?? (await toTemplate(file))
      if (template) keep(key, template)
    },
  }
}

async function toTemplate(file: FileHandle): Promise<Template | undefined> {
  const { size: length } = await file.stat()
  if (length > MAX_BYTES) return undefined
  const bytes = await readAt(file, 0, length)
  const blocks = new Map<number, Buffer>()
  for (let position = 0; position < length; position += BLOCK_BYTES) {
    const block = bytes.subarray(position, position + BLOCK_BYTES)
    if (!block.equals(ZEROS.subarray(0, block.length))) blocks.set(position, Buffer.from(block))
  }
  return { length, blocks }
}

function toBytes({ length, blocks }: Template): Buffer {
  const bytes = Buffer.alloc(length)
  for (const [position, block] of blocks) block.copy(bytes, position)
  return bytes
}
