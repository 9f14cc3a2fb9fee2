/**
 * Our own reading of a qcow2 header, so that nothing else opens a file before we know what it would make of it.
 * Format: docs/interop/qcow2.txt of QEMU.
 */
export interface Qcow2Header {
  readonly version: 2 | 3
  readonly virtualSizeBytes: number
  readonly clusterBytes: number
  readonly l1: Table
  readonly refcounts: Table
  /** Not closed cleanly: with lazy refcounts, they must be made anew before anything is judged by them. */
  readonly isDirty: boolean
  readonly hasExtendedL2: boolean
  readonly hasSnapshots: boolean
  readonly backing: { readonly file: string; readonly format: string | undefined } | undefined
}

/** A table of eight-byte entries in the file. */
interface Table {
  readonly offset: number
  readonly entries: number
}

/** What is wrong with a header. */
export interface HeaderFault {
  readonly code: 'NotQcow2' | 'Truncated' | 'Corrupt' | 'Refused'
  /** A clause that goes on after "the file ". */
  readonly what: string
}

export type ParsedHeader = { readonly header: Qcow2Header } | { readonly fault: HeaderFault }

/** Enough of a file to parse its header: beyond this no program puts any of it. */
export const HEADER_BYTES = 64 * 1024
/** Largest disk that is taken; a header that names more is meant to exhaust something. */
export const MAX_VIRTUAL_BYTES = 64 * 2 ** 40

const MAGIC = 0x514649fb
const V2_HEADER_BYTES = 72
const V3_HEADER_BYTES = 104
const SECTOR_BYTES = 512
// As QEMU limits them.
const MAX_L1_BYTES = 32 * 2 ** 20
const MAX_REFCOUNT_TABLE_BYTES = 8 * 2 ** 20
const MAX_BACKING_NAME_BYTES = 1023
const MAX_REFCOUNT_ORDER = 6

const incompatible = { dirty: 1n, corrupt: 2n, dataFile: 4n, compression: 8n, extendedL2: 16n } as const
const KNOWN_INCOMPATIBLE = 31n
const EXTENDED_L2_CLUSTER_BITS = 14

const extension = { end: 0, backingFormat: 0xe2792aca, dataFile: 0x44415441, encryption: 0x0537be77 } as const

/** Reads a header from the first bytes of a file of `fileBytes`. Never throws, whatever the bytes are. */
export function parseQcow2Header(bytes: Buffer, fileBytes: number): ParsedHeader {
  try {
    return { header: parse(bytes, fileBytes) }
  } catch (error) {
    if (error instanceof Fault) return { fault: error.fault }
    throw error
  }
}

// Leaves the many small steps below without ado; it never leaves this file.
class Fault extends Error {
  readonly fault: HeaderFault

  constructor(code: HeaderFault['code'], what: string) {
    super(what)
    this.fault = { code, what }
  }
}

function check(isRight: boolean, code: HeaderFault['code'], what: string): void {
  if (!isRight) throw new Fault(code, what)
}

function parse(bytes: Buffer, fileBytes: number): Qcow2Header {
  check(bytes.length >= 4 && bytes.readUInt32BE(0) === MAGIC, 'NotQcow2', 'has no qcow2 header')
  check(bytes.length >= V2_HEADER_BYTES, 'Truncated', 'ends within its header')
  const version = versionOf(bytes)
  const features = version === 3 ? parseFeatures(bytes) : plainFeatures
  const clusterBytes = clusterBytesOf(bytes, features)
  check(bytes.readUInt32BE(32) === 0, 'Refused', 'is encrypted')

  const virtualSizeBytes = virtualSizeOf(bytes)
  const l1 = l1Of(bytes, { clusterBytes, virtualSizeBytes, fileBytes, entryBytes: features.hasExtendedL2 ? 16 : 8 })
  const refcounts = refcountsOf(bytes, clusterBytes, fileBytes)
  const backingFormat = parseExtensions(bytes, features.headerBytes, endOfExtensions(bytes, clusterBytes))
  return {
    version,
    virtualSizeBytes,
    clusterBytes,
    l1,
    refcounts,
    isDirty: features.isDirty,
    hasExtendedL2: features.hasExtendedL2,
    hasSnapshots: bytes.readUInt32BE(60) !== 0,
    backing: backingOf(bytes, clusterBytes, backingFormat),
  }
}

function versionOf(bytes: Buffer): 2 | 3 {
  const version = bytes.readUInt32BE(4)
  if (version === 2 || version === 3) return version
  throw new Fault('Refused', `is of qcow version ${version}, of which only 2 and 3 are known`)
}

interface Features {
  readonly headerBytes: number
  readonly isDirty: boolean
  readonly hasExtendedL2: boolean
}

const plainFeatures: Features = { headerBytes: V2_HEADER_BYTES, isDirty: false, hasExtendedL2: false }

function parseFeatures(bytes: Buffer): Features {
  check(bytes.length >= V3_HEADER_BYTES, 'Truncated', 'ends within its header')
  const bits = bytes.readBigUInt64BE(72)
  const has = (bit: bigint) => (bits & bit) !== 0n
  check(!has(incompatible.dataFile), 'Refused', 'keeps its data in another file')
  check(!has(incompatible.corrupt), 'Corrupt', 'is marked as corrupt')
  check((bits & ~KNOWN_INCOMPATIBLE) === 0n, 'Refused', 'needs features that are not known here')
  check(bytes.readUInt32BE(96) <= MAX_REFCOUNT_ORDER, 'Corrupt', 'has a damaged header (refcount width)')
  const headerBytes = bytes.readUInt32BE(100)
  const isSane = headerBytes >= V3_HEADER_BYTES && headerBytes % 8 === 0 && headerBytes <= bytes.length
  check(isSane, 'Corrupt', 'has a damaged header (length)')
  checkCompression(bytes, headerBytes, has(incompatible.compression))
  return { headerBytes, isDirty: has(incompatible.dirty), hasExtendedL2: has(incompatible.extendedL2) }
}

function checkCompression(bytes: Buffer, headerBytes: number, isNamed: boolean): void {
  const type = headerBytes > V3_HEADER_BYTES ? bytes.readUInt8(V3_HEADER_BYTES) : 0
  check(isNamed ? type === 1 : type === 0, 'Refused', 'is compressed in a way that is not known here')
}

function clusterBytesOf(bytes: Buffer, { hasExtendedL2 }: Features): number {
  const bits = bytes.readUInt32BE(20)
  check(bits >= 9 && bits <= 21, 'Corrupt', 'has a damaged header (cluster size)')
  check(!hasExtendedL2 || bits >= EXTENDED_L2_CLUSTER_BITS, 'Corrupt', 'has a damaged header (cluster size)')
  return 2 ** bits
}

function virtualSizeOf(bytes: Buffer): number {
  const size = bytes.readBigUInt64BE(24)
  check(size > 0n, 'Corrupt', 'holds a disk of no size')
  check(size <= BigInt(MAX_VIRTUAL_BYTES), 'Refused', 'holds a disk of more than 64 TiB')
  return Math.ceil(Number(size) / SECTOR_BYTES) * SECTOR_BYTES
}

interface Extent {
  readonly clusterBytes: number
  readonly virtualSizeBytes: number
  readonly fileBytes: number
  readonly entryBytes: number
}

function l1Of(bytes: Buffer, { clusterBytes, virtualSizeBytes, fileBytes, entryBytes }: Extent): Table {
  const entries = bytes.readUInt32BE(36)
  check(entries * 8 <= MAX_L1_BYTES, 'Refused', 'has a table of clusters that is too large')
  const bytesPerEntry = (clusterBytes / entryBytes) * clusterBytes
  check(entries >= Math.ceil(virtualSizeBytes / bytesPerEntry), 'Corrupt', 'has a table of clusters that is too small')
  return { offset: tableOffset(bytes.readBigUInt64BE(40), entries * 8, clusterBytes, fileBytes), entries }
}

function refcountsOf(bytes: Buffer, clusterBytes: number, fileBytes: number): Table {
  const tableBytes = bytes.readUInt32BE(56) * clusterBytes
  check(tableBytes > 0 && tableBytes <= MAX_REFCOUNT_TABLE_BYTES, 'Corrupt', 'has a damaged header (refcount table)')
  return {
    offset: tableOffset(bytes.readBigUInt64BE(48), tableBytes, clusterBytes, fileBytes),
    entries: tableBytes / 8,
  }
}

function tableOffset(offset: bigint, tableBytes: number, clusterBytes: number, fileBytes: number): number {
  const isAligned = offset > 0n && offset % BigInt(clusterBytes) === 0n
  check(isAligned, 'Corrupt', 'has a damaged header (place of a table)')
  check(offset + BigInt(tableBytes) <= BigInt(fileBytes), 'Truncated', 'ends before its tables do')
  return Number(offset)
}

/** Walks over the extensions behind the header as QEMU does, and returns the format of the backing file if one is named. */
function parseExtensions(bytes: Buffer, headerBytes: number, endOfArea: number): string | undefined {
  let backingFormat: string | undefined
  let position = headerBytes
  while (position + 8 <= endOfArea) {
    const type = bytes.readUInt32BE(position)
    if (type === extension.end) break
    check(type !== extension.dataFile, 'Refused', 'keeps its data in another file')
    check(type !== extension.encryption, 'Refused', 'is encrypted')
    const length = bytes.readUInt32BE(position + 4)
    const start = position + 8
    check(start + length <= endOfArea, 'Corrupt', 'has a damaged header (extension)')
    if (type === extension.backingFormat) backingFormat = bytes.toString('latin1', start, start + length)
    position = start + Math.ceil(length / 8) * 8
  }
  return backingFormat
}

/** Extensions end where the name of the backing file begins, or with the first cluster. */
function endOfExtensions(bytes: Buffer, clusterBytes: number): number {
  const backing = bytes.readBigUInt64BE(8)
  const end = Math.min(clusterBytes, bytes.length)
  return backing > 0n && backing < BigInt(end) ? Number(backing) : end
}

function backingOf(bytes: Buffer, clusterBytes: number, format: string | undefined): Qcow2Header['backing'] {
  const offset = bytes.readBigUInt64BE(8)
  if (offset === 0n) return undefined
  const length = bytes.readUInt32BE(16)
  const end = offset + BigInt(length)
  const isSane = length > 0 && length <= MAX_BACKING_NAME_BYTES && end <= BigInt(Math.min(clusterBytes, bytes.length))
  check(isSane, 'Corrupt', 'has a damaged header (backing file)')
  return { file: bytes.toString('utf8', Number(offset), Number(end)), format }
}
