import type { FileHandle } from 'node:fs/promises'
import { readAt } from './files.ts'
import type { Qcow2Header } from './qcow2-header.ts'

/** Where all that a qcow2 file refers to ends, or what is wrong with its tables. */
export type Extent = { readonly endBytes: number } | { readonly fault: Fault }
type Fault = 'Truncated' | 'Corrupt' | 'TooManyTables' | 'Stopped'

const SECTOR_BYTES = 512
const HIGH_WORD = 2 ** 32
const CHUNK_BYTES = 2 ** 20
const SUBCLUSTERS = 32
/** 64 TiB in clusters of 64 KiB need a sixth of it. To remember them takes some 64 MiB. */
const MAX_TABLES = 2 ** 20
const TABLES_BETWEEN_LOOKS = 1024

export interface ExtentOptions {
  readonly maxTables?: number
  /** Asked regularly. */
  readonly mayGoOn?: () => Promise<boolean>
}

/**
 * Follows every table of an image without snapshots, for `qemu-img check` does not notice a missing end: neither of
 * compressed data, nor of less than a cluster. Work is bounded by the length of the file, whatever its tables say.
 */
export async function findExtent(
  file: FileHandle,
  header: Qcow2Header,
  fileBytes: number,
  { maxTables = MAX_TABLES, mayGoOn = async () => true }: ExtentOptions = {},
): Promise<Extent> {
  const { clusterBytes } = header
  const seen = new Set<number>()
  let endBytes = 0

  const enter = async (offset: number): Promise<Fault | undefined> => {
    if (seen.size % TABLES_BETWEEN_LOOKS === 0 && !(await mayGoOn())) return 'Stopped'
    if (seen.size >= maxTables) return 'TooManyTables'
    // A table that is used twice makes no sense without snapshots, and would make a small file endless work.
    if (seen.has(offset) || offset % clusterBytes !== 0) return 'Corrupt'
    seen.add(offset)
    endBytes = Math.max(endBytes, offset + clusterBytes)
    return endBytes > fileBytes ? 'Truncated' : undefined
  }
  for await (const { offset } of entriesOf(file, header.refcounts)) {
    const fault = await enter(offset)
    if (fault) return { fault }
  }
  for await (const { offset, index } of entriesOf(file, header.l1)) {
    const fault = await enter(offset)
    if (fault) return { fault }
    const table = await readAt(file, offset, clusterBytes)
    endBytes = Math.max(endBytes, endOfData(table, index, header))
  }
  return endBytes > fileBytes ? { fault: 'Truncated' } : { endBytes }
}

interface Entry {
  readonly offset: number
  readonly index: number
}

/** The entries of a table that are in use, read piece by piece: it may be large and nearly empty. */
async function* entriesOf(file: FileHandle, { offset, entries }: Qcow2Header['l1']): AsyncGenerator<Entry> {
  const tableBytes = entries * 8
  for (let start = 0; start < tableBytes; start += CHUNK_BYTES) {
    const chunk = await readAt(file, offset + start, Math.min(CHUNK_BYTES, tableBytes - start))
    for (let at = 0; at + 8 <= chunk.length; at += 8) {
      const target = offsetIn(chunk, at)
      if (target !== 0) yield { offset: target, index: (start + at) / 8 }
    }
  }
}

/** Bits 9 to 55 of an entry. */
function offsetIn(table: Buffer, at: number): number {
  const low = table.readUInt32BE(at + 4)
  return (table.readUInt32BE(at) & 0x00ffffff) * HIGH_WORD + (low - (low % SECTOR_BYTES))
}

/** Where the last byte ends that the entries of one table refer to. */
function endOfData(table: Buffer, tableIndex: number, header: Qcow2Header): number {
  const entryBytes = header.hasExtendedL2 ? 16 : 8
  const guestStart = tableIndex * (header.clusterBytes / entryBytes) * header.clusterBytes
  let end = 0
  for (let at = 0; at + entryBytes <= table.length; at += entryBytes) {
    const high = table.readUInt32BE(at)
    const low = table.readUInt32BE(at + 4)
    if (high === 0 && low === 0) continue
    const isCompressed = (high & 0x40000000) !== 0
    const guestBytes = header.virtualSizeBytes - guestStart - (at / entryBytes) * header.clusterBytes
    const entryEnd = isCompressed ? endOfCompressed(table, at, header) : endOfCluster(table, at, guestBytes, header)
    end = Math.max(end, entryEnd)
  }
  return end
}

function endOfCompressed(table: Buffer, at: number, { clusterBytes }: Qcow2Header): number {
  const bits = Math.log2(clusterBytes)
  const offsetBits = BigInt(62 - (bits - 8))
  const entry = table.readBigUInt64BE(at) & ((1n << 62n) - 1n)
  const offset = Number(entry & ((1n << offsetBits) - 1n))
  const furtherSectors = Number(entry >> offsetBits)
  return offset - (offset % SECTOR_BYTES) + (furtherSectors + 1) * SECTOR_BYTES
}

/** What lies beyond the guest's disk, or reads as zeros anyway, need not be in the file. */
function endOfCluster(table: Buffer, at: number, guestBytes: number, header: Qcow2Header): number {
  const offset = offsetIn(table, at)
  const isZero = !header.hasExtendedL2 && (table.readUInt32BE(at + 4) & 1) === 1
  if (offset === 0 || isZero) return 0
  if (!header.hasExtendedL2) return offset + Math.min(header.clusterBytes, Math.max(0, guestBytes))
  const subclusters = SUBCLUSTERS - Math.clz32(table.readUInt32BE(at + 12))
  return offset + Math.min((subclusters * header.clusterBytes) / SUBCLUSTERS, Math.max(0, guestBytes))
}
