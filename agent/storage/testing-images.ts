import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, open, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { DesiredDisk } from '../contract.ts'
import { parseQcow2Header, type Qcow2Header } from './qcow2-header.ts'
import { call, sha256Of, type StorageWorld } from './testing.ts'

const MIB = 2 ** 20
const QEMU_IO = 'qemu-io'

/** A file of the host that no image may reach. */
export async function putCanary(dir: string): Promise<{ path: string; state(): Promise<unknown> }> {
  const path = join(dir, 'outside', 'canary')
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, 'canary'.repeat(100_000))
  const longAgo = new Date('2001-01-01')
  await utimes(path, longAgo, longAgo)
  // Reading it would set the time of access; so where that is kept, it is seen.
  const state = async () => {
    const { size, atimeMs, mtimeMs } = await stat(path)
    return { size, atimeMs, mtimeMs }
  }
  return { path, state }
}

/** A raw disk of text and noise, so that some clusters compress and some do not. */
async function writeRaw(path: string, bytes = 3 * MIB): Promise<void> {
  const file = await open(path, 'w')
  let seed = 7
  for (let position = 0; position < bytes; position += 65_536) {
    const chunk = Buffer.alloc(Math.min(65_536, bytes - position))
    for (let at = 0; at + 4 <= chunk.length; at += 4) {
      seed = (seed * 48_271) % 2_147_483_647
      chunk.writeUInt32LE(position % 131_072 === 0 ? seed : at % 977, at)
    }
    await file.write(chunk, 0, chunk.length, position)
  }
  await file.close()
}

/** A qcow2 file of that disk. */
export async function writeQcow2(path: string, ...options: string[]): Promise<string> {
  await writeRaw(`${path}.source`)
  await call('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', ...options, `${path}.source`, path)
  await rm(`${path}.source`)
  return path
}

/** Overwrites a part of a file. */
export async function patch(path: string, position: number, bytes: Buffer): Promise<void> {
  const file = await open(path, 'r+')
  await file.write(bytes, 0, bytes.length, position)
  await file.close()
}

export function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(value)
  return bytes
}

/** Where the table of tables of a qcow2 file is, and the first of those in it. */
export async function tablesOf(path: string): Promise<{ l1: number; l2: number }> {
  const bytes = await readFile(path)
  const parsed = parseQcow2Header(bytes.subarray(0, 65_536), bytes.length)
  if ('fault' in parsed) throw new Error(parsed.fault.what)
  const l1 = parsed.header.l1.offset
  return { l1, l2: Number(bytes.readBigUInt64BE(l1) & 0x00fffffffffffe00n) }
}

export type Image = NonNullable<DesiredDisk['image']> & { readonly path: string }

/** Puts an image into the import folder. */
export async function putImage({ importDir }: StorageWorld, name = 'base.qcow2'): Promise<Image> {
  const file = await writeQcow2(join(importDir, name))
  return { path: name, format: 'qcow2', sha256: await sha256Of(file) }
}

export function fileOf({ storagePath }: StorageWorld, { id }: Pick<DesiredDisk, 'id'>): string {
  return join(storagePath, 'disks', `${id}.qcow2`)
}

export async function headerOf(path: string): Promise<Qcow2Header> {
  const bytes = await readFile(path)
  const parsed = parseQcow2Header(bytes.subarray(0, 65_536), bytes.length)
  if ('fault' in parsed) throw new Error(parsed.fault.what)
  return parsed.header
}

/** Names in a folder of the storage. */
export async function filesOf({ storagePath }: StorageWorld, folder: string): Promise<string[]> {
  return readdir(join(storagePath, folder))
}

/** A process that has a disk open for writing, as QEMU does. */
export async function openForWriting(path: string): Promise<AsyncDisposable & { isOpen(): boolean }> {
  const child = spawn(QEMU_IO, ['-f', 'qcow2', path], { stdio: ['pipe', 'pipe', 'ignore'] })
  const exited = once(child, 'exit')
  child.stdin.write('write 0 64k\n')
  child.stdout.setEncoding('utf8')
  for await (const text of child.stdout.iterator({ destroyOnReturn: false })) if (String(text).includes('wrote')) break
  return {
    isOpen: () => child.exitCode === null,
    [Symbol.asyncDispose]: async () => {
      child.stdin.end('quit\n')
      await exited
    },
  }
}
