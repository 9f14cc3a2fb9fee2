import { randomUUID } from 'node:crypto'
import { lstat, mkdir, readFile, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ImageQuery } from '../contract.ts'
import { call, newStorageWorld, sha256Of, type StorageWorld } from './testing.ts'
import { patch, putCanary, tablesOf, u64, writeQcow2 } from './testing-images.ts'

const MIB = 2 ** 20

let world: StorageWorld
beforeAll(async () => {
  world = await newStorageWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

type Make = (path: string, canary: string) => Promise<unknown>
const blank = (path: string, ...options: string[]) =>
  call('qemu-img', 'create', '-q', '-f', 'qcow2', ...options, path, '8M')

interface Hostile {
  readonly format?: ImageQuery['format']
  readonly code: string
  readonly make: Make
}

const hostile: Record<string, Hostile> = {
  'a backing file': {
    code: 'ImageRefused',
    make: (path, canary) =>
      call('qemu-img', 'create', '-q', '-f', 'qcow2', '-u', '-b', canary, '-F', 'raw', path, '8M'),
  },
  'a backing file on the network': {
    code: 'ImageRefused',
    make: (path) =>
      call('qemu-img', 'create', '-q', '-f', 'qcow2', '-u', '-b', 'nbd://127.0.0.1:1/x', '-F', 'raw', path, '8M'),
  },
  'a data file': {
    code: 'ImageRefused',
    make: async (path, canary) => {
      const text = await readFile(canary)
      const { atime, mtime } = await stat(canary)
      await blank(path, '-o', `data_file=${canary},data_file_raw=on`)
      await writeFile(canary, text)
      await utimes(canary, atime, mtime)
    },
  },
  'a qcow2 header in a raw disk': { format: 'raw', code: 'ImageRefused', make: (path) => blank(path) },
  'a VMDK descriptor in a raw disk': {
    format: 'raw',
    code: 'ImageRefused',
    make: (path, canary) => writeFile(path, `# Disk DescriptorFile\nversion=1\nCID=1\nRW 1000 FLAT "${canary}" 0\n`),
  },
  'a VMDK descriptor named qcow2': {
    code: 'WrongFormat',
    make: (path, canary) => writeFile(path, `# Disk DescriptorFile\nversion=1\nCID=1\nRW 1000 FLAT "${canary}" 0\n`),
  },
  'a VMDK image': { code: 'WrongFormat', make: (path) => call('qemu-img', 'create', '-q', '-f', 'vmdk', path, '8M') },
  'a VDI image in a raw disk': {
    format: 'raw',
    code: 'ImageRefused',
    make: (path) => call('qemu-img', 'create', '-q', '-f', 'vdi', path, '8M'),
  },
  'a VHDX image in a raw disk': {
    format: 'raw',
    code: 'ImageRefused',
    make: (path) => call('qemu-img', 'create', '-q', '-f', 'vhdx', path, '8M'),
  },
  'a VHD image in a raw disk': {
    format: 'raw',
    code: 'ImageRefused',
    make: (path) => call('qemu-img', 'create', '-q', '-f', 'vpc', '-o', 'subformat=fixed', path, '8M'),
  },
  'a LUKS image in a raw disk': {
    format: 'raw',
    code: 'ImageRefused',
    make: (path) => writeFile(path, Buffer.concat([Buffer.from('LUKS\xba\xbe', 'latin1'), Buffer.alloc(MIB)])),
  },
  encryption: {
    code: 'ImageRefused',
    make: (path) => blank(path, '--object', 'secret,id=s,data=s', '-o', 'encrypt.format=aes,encrypt.key-secret=s'),
  },
  'an internal snapshot': {
    code: 'ImageRefused',
    make: async (path) => {
      await blank(path)
      await call('qemu-img', 'snapshot', '-c', 'then', path)
    },
  },
  'a huge disk': {
    code: 'ImageRefused',
    make: (path) => call('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', 'cluster_size=2M', path, '65T'),
  },
  'an unknown feature': {
    code: 'ImageRefused',
    make: (path) => blank(path).then(() => patch(path, 72, u64(1n << 40n))),
  },
  'a mark of corruption': { code: 'ImageCorrupt', make: (path) => blank(path).then(() => patch(path, 72, u64(2n))) },
  'a mark of an unclean end': {
    code: 'ImageCorrupt',
    make: (path) => blank(path).then(() => patch(path, 72, u64(1n))),
  },
  'data in the place of a table': {
    code: 'ImageCorrupt',
    make: async (path) => {
      await writeQcow2(path)
      const { l1, l2 } = await tablesOf(path)
      await patch(path, l2, u64((1n << 63n) | BigInt(l1)))
    },
  },
  'a data cluster used twice': {
    code: 'ImageCorrupt',
    make: async (path) => {
      await writeQcow2(path)
      const { l2 } = await tablesOf(path)
      await patch(path, l2, (await readFile(path)).subarray(l2 + 8, l2 + 16))
    },
  },
  'endless tables': {
    code: 'ImageCorrupt',
    make: async (path) => {
      await call('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', 'cluster_size=512', path, '16G')
      const { l1 } = await tablesOf(path)
      await patch(path, l1, Buffer.concat(Array.from({ length: 100_000 }, () => u64((1n << 63n) | 0x200n))))
    },
  },
  'a table that is not aligned': {
    code: 'ImageCorrupt',
    make: async (path) => {
      await blank(path)
      await patch(path, (await tablesOf(path)).l1, u64((1n << 63n) | 0x200n))
    },
  },
  'a table behind the end': {
    code: 'ImageTruncated',
    make: async (path) => {
      await blank(path)
      await patch(path, (await tablesOf(path)).l1, u64((1n << 63n) | (1n << 50n)))
    },
  },
  'nothing in it': { code: 'ImageTruncated', make: (path) => writeFile(path, '') },
  'nothing in a raw disk': { format: 'raw', code: 'ImageTruncated', make: (path) => writeFile(path, '') },
  'some text': { code: 'WrongFormat', make: (path) => writeFile(path, 'hello\n'.repeat(1000)) },
  'a link out of the folder': { code: 'OutsideImportFolder', make: (path, canary) => symlink(canary, path) },
  'a link into another folder': {
    format: 'raw',
    code: 'OutsideImportFolder',
    make: (path, canary) => symlink(join('..', 'outside', canary.split('/').at(-1) ?? ''), path),
  },
  'a link to itself': { code: 'OutsideImportFolder', make: (path) => symlink(path, path) },
  'a link to nothing': { code: 'FileNotFound', make: (path) => symlink('/no/such/file', path) },
  'the form of a pipe': { code: 'ImageRefused', make: (path) => call('mkfifo', path) },
  'the form of a folder': { code: 'ImageRefused', make: (path) => mkdir(path) },
}

describe('an image is refused', () => {
  test.each(Object.entries(hostile))('[IMG-11] with %s', async (name, { format = 'qcow2', code, make }) => {
    const path = name.replaceAll(' ', '-')
    const canary = await putCanary(world.dir)
    await make(join(world.importDir, path), canary.path)
    const before = await canary.state()
    const found = await world.storage.inspectImage({ path, format })
    expect(found).toMatchObject({ state: 'Refused', code })
    expect(found).toMatchObject({ message: expect.stringMatching(/^[A-Z][^\n]*: [^\n]*[^.\n]$/) })
    expect(await canary.state()).toEqual(before)

    // Whoever asks for a disk on it all the same gets none.
    const isFile = (await lstat(join(world.importDir, path))).isFile()
    const sha256 = isFile ? await sha256Of(join(world.importDir, path)) : 'a'.repeat(64)
    const disk = { id: randomUUID(), storage: 'fast', sizeBytes: 2 ** 40, image: { path, format, sha256 } }
    await expect(world.storage.putDisk(disk)).rejects.toMatchObject({ code: 'IMAGE_REJECTED' })
    expect(await call('find', world.storagePath, '-type', 'f')).toBe(
      `${join(world.storagePath, '.holdfast-storage')}\n`,
    )
  })

  test.each(['../outside/canary', 'a/../../outside/canary', '..', '/etc/passwd', 'a\0b'])(
    '[IMG-11] when it is named %j',
    async (path) => {
      const canary = await putCanary(world.dir)
      const before = await canary.state()
      const found = await world.storage.inspectImage({ path, format: 'raw' })
      expect(found).toMatchObject({ state: 'Refused', code: 'OutsideImportFolder' })
      expect(await canary.state()).toEqual(before)
    },
  )

  test.each(['missing.qcow2', 'missing/image', 'x'.repeat(300), 'nbd://127.0.0.1/x', 'json:{"driver":"nbd"}'])(
    '[IMG-11] when there is none of the name %s',
    async (path) => {
      const found = await world.storage.inspectImage({ path, format: 'qcow2' })
      expect(found).toMatchObject({
        state: 'Refused',
        code: 'FileNotFound',
        message: expect.stringContaining(world.importDir),
      })
    },
  )
})
