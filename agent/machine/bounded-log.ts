import { lstat, open, rm, type FileHandle } from 'node:fs/promises'
import { constants } from 'node:fs'
import { isFullDisk, isMissing } from '../durable-file.ts'

const CHUNK_BYTES = 64 * 1024

/**
 * Keeps a file that QEMU appends to within bounds: when it is larger than `maxBytes`, its end moves to `<path>.1`,
 * at most `maxBytes` of it, and it starts again. QEMU holds the file open, so it is emptied in place.
 * What QEMU writes between the last read and the emptying, some microseconds, is lost; and all of it where no space is
 * left to move it to.
 */
export async function keepBounded(path: string, maxBytes: number): Promise<void> {
  // Nearly always there is nothing to do, and many guests' logs are looked at: opening each costs three times as much.
  if ((await sizeOf(path)) <= maxBytes) return
  const source = await openOwn(path)
  if (!source) return
  try {
    const { size } = await source.stat()
    if (size <= maxBytes) return
    await moveEnd(source, { target: `${path}.1`, from: Math.max(0, size - maxBytes), maxBytes })
    await source.truncate(0)
  } finally {
    await source.close()
  }
}

/** The last characters of a file, from `start` at the earliest; empty when there is no file. */
export async function readEnd(path: string, start: number, maxBytes: number): Promise<string> {
  const file = await openOwn(path)
  if (!file) return ''
  try {
    const { size } = await file.stat()
    const from = Math.max(start, size - maxBytes)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(maxBytes), 0, maxBytes, from)
    return buffer.toString('utf8', 0, bytesRead)
  } finally {
    await file.close()
  }
}

async function moveEnd(
  source: FileHandle,
  { target, from, maxBytes }: { readonly target: string; readonly from: number; readonly maxBytes: number },
): Promise<void> {
  try {
    const end = await copyEnd(source, target, from)
    // The guest went on writing; a guest that writes faster than this reads must not keep us here.
    if ((await source.stat()).size - end <= maxBytes) await copyEnd(source, target, end, 'a')
  } catch (error) {
    if (!isFullDisk(error)) throw error
    await rm(target, { force: true })
  }
}

async function copyEnd(source: FileHandle, path: string, from: number, flags: 'w' | 'a' = 'w'): Promise<number> {
  const target = await open(path, flags, 0o600)
  try {
    const buffer = Buffer.alloc(CHUNK_BYTES)
    let position = from
    for (;;) {
      const { bytesRead } = await source.read(buffer, 0, CHUNK_BYTES, position)
      if (bytesRead === 0) return position
      await target.write(buffer, 0, bytesRead)
      position += bytesRead
    }
  } finally {
    await target.close()
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await lstat(path)).size
  } catch (error) {
    if (isMissing(error)) return 0
    throw error
  }
}

async function openOwn(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDWR | constants.O_NOFOLLOW)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}
