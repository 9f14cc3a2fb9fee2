import { expect, test } from 'vitest'
import { HEADER_BYTES, parseQcow2Header, type HeaderFault } from './qcow2-header.ts'

const CLUSTER_BYTES = 65_536
const FILE_BYTES = 4 * CLUSTER_BYTES
const GIB = 2 ** 30

/** The header that qemu-img writes for a blank disk of 1 GiB. */
function blank(): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES)
  bytes.writeUInt32BE(0x514649fb, 0)
  bytes.writeUInt32BE(3, 4)
  bytes.writeUInt32BE(16, 20)
  bytes.writeBigUInt64BE(BigInt(GIB), 24)
  bytes.writeUInt32BE(2, 36)
  bytes.writeBigUInt64BE(0x30000n, 40)
  bytes.writeBigUInt64BE(0x10000n, 48)
  bytes.writeUInt32BE(1, 56)
  bytes.writeUInt32BE(4, 96)
  bytes.writeUInt32BE(112, 100)
  return bytes
}

function parsed(edit: (bytes: Buffer) => void, fileBytes = FILE_BYTES) {
  const bytes = blank()
  edit(bytes)
  return parseQcow2Header(bytes, fileBytes)
}

function withBacking(bytes: Buffer, name: string, format: string): void {
  bytes.writeUInt32BE(0xe2792aca, 112)
  bytes.writeUInt32BE(format.length, 116)
  bytes.write(format, 120)
  bytes.writeBigUInt64BE(1024n, 8)
  bytes.writeUInt32BE(name.length, 16)
  bytes.write(name, 1024)
}

test('reads the header of a blank disk', () => {
  expect(parsed(() => undefined)).toEqual({
    header: {
      version: 3,
      virtualSizeBytes: GIB,
      clusterBytes: CLUSTER_BYTES,
      l1: { offset: 0x30000, entries: 2 },
      refcounts: { offset: 0x10000, entries: 8192 },
      isDirty: false,
      hasExtendedL2: false,
      hasSnapshots: false,
      backing: undefined,
    },
  })
})

test('reads the name and format of a backing file', () => {
  const { header } = parsed((bytes) => withBacking(bytes, '../images/a.raw', 'raw')) as { header: object }
  expect(header).toMatchObject({ backing: { file: '../images/a.raw', format: 'raw' } })
})

test.each<[string, (bytes: Buffer) => void, object]>([
  ['version 2', (bytes) => bytes.writeUInt32BE(2, 4).toString() && bytes.fill(0, 72, 120), { version: 2 }],
  ['the dirty bit', (bytes) => bytes.writeBigUInt64BE(1n, 72), { isDirty: true }],
  [
    'extended L2 entries',
    (bytes) => bytes.writeBigUInt64BE(16n, 72) && bytes.writeUInt32BE(4, 36),
    { hasExtendedL2: true },
  ],
  ['internal snapshots', (bytes) => bytes.writeUInt32BE(1, 60), { hasSnapshots: true }],
  ['a size that is no multiple of a sector', (bytes) => bytes.writeBigUInt64BE(1n, 24), { virtualSizeBytes: 512 }],
])('reads %s', (_name, edit, expected) => {
  expect(parsed(edit)).toMatchObject({ header: expected })
})

const u32 = (value: number, at: number) => (bytes: Buffer) => void bytes.writeUInt32BE(value, at)
const u64 = (value: bigint, at: number) => (bytes: Buffer) => void bytes.writeBigUInt64BE(value, at)
const extension = (type: number, length: number) => (bytes: Buffer) => {
  bytes.writeUInt32BE(type, 112)
  bytes.writeUInt32BE(length, 116)
}

test.each<[string, HeaderFault['code'], (bytes: Buffer) => void]>([
  ['another magic', 'NotQcow2', u32(0x4b444d56, 0)],
  ['version 1', 'Refused', u32(1, 4)],
  ['version 4', 'Refused', u32(4, 4)],
  ['a data file bit', 'Refused', u64(4n, 72)],
  ['a data file extension', 'Refused', extension(0x44415441, 8)],
  [
    'a data file extension in version 2',
    'Refused',
    (bytes) => {
      bytes.writeUInt32BE(2, 4)
      bytes.fill(0, 72, 120)
      bytes.writeUInt32BE(0x44415441, 72)
    },
  ],
  ['an unknown incompatible bit', 'Refused', u64(32n, 72)],
  ['the highest incompatible bit', 'Refused', u64(1n << 63n, 72)],
  ['a corrupt bit', 'Corrupt', u64(2n, 72)],
  ['AES encryption', 'Refused', u32(1, 32)],
  ['LUKS encryption', 'Refused', u32(2, 32)],
  ['an encryption extension', 'Refused', extension(0x0537be77, 16)],
  ['an unnamed compression', 'Refused', (bytes) => bytes.writeUInt8(1, 104)],
  ['an unknown compression', 'Refused', (bytes) => bytes.writeBigUInt64BE(8n, 72) && bytes.writeUInt8(2, 104)],
  ['clusters of 256 bytes', 'Corrupt', u32(8, 20)],
  ['clusters of 4 MiB', 'Corrupt', u32(22, 20)],
  [
    'extended L2 entries in small clusters',
    'Corrupt',
    (bytes) => bytes.writeUInt32BE(13, 20) && bytes.writeBigUInt64BE(16n, 72),
  ],
  ['no size', 'Corrupt', u64(0n, 24)],
  ['a size over 64 TiB', 'Refused', u64(2n ** 46n + 1n, 24)],
  ['the largest size there is', 'Refused', u64(2n ** 64n - 1n, 24)],
  ['a table of clusters over 32 MiB', 'Refused', u32(4 * 2 ** 20 + 1, 36)],
  ['a table of clusters that is too small', 'Corrupt', u32(1, 36)],
  ['a table of clusters that is not aligned', 'Corrupt', u64(0x30200n, 40)],
  ['a table of clusters at the header', 'Corrupt', u64(0n, 40)],
  ['a table of clusters behind the end', 'Truncated', u64(0x40000n, 40)],
  ['a table of clusters at the end of the world', 'Truncated', u64(2n ** 64n - 65_536n, 40)],
  ['no refcount table', 'Corrupt', u32(0, 56)],
  ['a refcount table over 8 MiB', 'Corrupt', u32(129, 56)],
  ['a refcount table behind the end', 'Truncated', u64(0x40000n, 48)],
  ['refcounts of 128 bits', 'Corrupt', u32(7, 96)],
  ['a short header', 'Corrupt', u32(96, 100)],
  ['a header of an odd length', 'Corrupt', u32(108, 100)],
  ['a header without end', 'Corrupt', u32(2 ** 32 - 8, 100)],
  ['an extension without end', 'Corrupt', extension(0x6803f857, 2 ** 32 - 1)],
  [
    'a backing file with a name of 1024 bytes',
    'Corrupt',
    (bytes) => bytes.writeBigUInt64BE(2048n, 8) && bytes.writeUInt32BE(1024, 16),
  ],
  ['a backing file without a name', 'Corrupt', u64(2048n, 8)],
  [
    'a backing file far away',
    'Corrupt',
    (bytes) => bytes.writeBigUInt64BE(2n ** 63n, 8) && bytes.writeUInt32BE(10, 16),
  ],
])('[IMG-11] refuses %s', (_name, code, edit) => {
  expect(parsed(edit)).toMatchObject({ fault: { code } })
})

test.each([3, 4, 71, 72, 103, 111])('refuses a file of %i bytes', (length) => {
  const result = parseQcow2Header(blank().subarray(0, length), length)
  expect(result).toMatchObject({ fault: { code: expect.stringMatching(/NotQcow2|Truncated|Corrupt/) } })
})

test('[IMG-11] answers whatever the bytes are', () => {
  let seed = 1
  const random = () => (seed = (seed * 48_271) % 2_147_483_647)
  for (let round = 0; round < 5000; round += 1) {
    const bytes = blank()
    for (let count = 0; count < 4; count += 1) bytes.writeUInt8(random() % 256, 4 + (random() % 140))
    const result = parseQcow2Header(bytes, FILE_BYTES)
    expect('header' in result || result.fault.what.length > 0).toBe(true)
  }
})
