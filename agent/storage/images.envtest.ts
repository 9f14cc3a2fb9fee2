import { rm, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newStorageWorld, sha256Of, type StorageWorld } from './testing.ts'
import { writeQcow2 } from './testing-images.ts'

const MIB = 2 ** 20

let world: StorageWorld
beforeAll(async () => {
  world = await newStorageWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

describe('an image is refused', () => {
  const kinds: Record<string, string[]> = {
    plain: [],
    compressed: ['-c'],
    'compressed with zstd': ['-c', '-o', 'compression_type=zstd'],
    'in small clusters': ['-o', 'cluster_size=512'],
    'with extended entries': ['-o', 'extended_l2=on,cluster_size=128k'],
  }
  const cuts = [1, 511, 512, 4095, 65_535, 65_536, 65_537, 300_000]

  test.each(Object.entries(kinds))('when it is truncated anywhere, %s', async (kind, options) => {
    const path = `truncated-${kind.replaceAll(' ', '-')}`
    const whole = await writeQcow2(join(world.importDir, path), ...options)
    const { size } = await stat(whole)
    expect(await world.storage.inspectImage({ path, format: 'qcow2' })).toMatchObject({ state: 'Verified' })
    for (const length of [...cuts.map((cut) => size - cut), Math.floor(size / 2), 65_536, 65_535, 512, 100, 8]) {
      await truncate(whole, length)
      const found = await world.storage.inspectImage({ path, format: 'qcow2' })
      expect({ length, ...found }).toMatchObject({ length, state: 'Refused', code: 'ImageTruncated' })
    }
  })
})

describe('an image is verified', () => {
  const sound: Record<string, string[]> = {
    'of version 2': ['-o', 'compat=0.10'],
    'with lazy refcounts': ['-o', 'lazy_refcounts=on'],
    'with clusters of 2 MiB': ['-o', 'cluster_size=2M'],
    'with its tables made before': ['-o', 'preallocation=metadata'],
    'with all its space taken': ['-o', 'preallocation=full'],
    'with narrow refcounts': ['-o', 'refcount_bits=1'],
  }

  test.each(Object.entries(sound))('%s', async (name, options) => {
    const path = `sound-${name.replaceAll(' ', '-')}`
    const file = await writeQcow2(join(world.importDir, path), ...options)
    expect(await world.storage.inspectImage({ path, format: 'qcow2' })).toEqual({
      state: 'Verified',
      sha256: await sha256Of(file),
      sizeBytes: (await stat(file)).size,
      virtualSizeBytes: 3 * MIB,
    })
  })

  test('as a raw disk, rounded up to a sector', async () => {
    await writeFile(join(world.importDir, 'disk.raw'), 'x'.repeat(1000))
    const found = await world.storage.inspectImage({ path: 'disk.raw', format: 'raw' })
    expect(found).toMatchObject({ state: 'Verified', sizeBytes: 1000, virtualSizeBytes: 1024 })
  })

  test('under a name that QEMU would take for a protocol', async () => {
    await writeQcow2(join(world.importDir, 'nbd:127.0.0.1:1'))
    expect(await world.storage.inspectImage({ path: 'nbd:127.0.0.1:1', format: 'qcow2' })).toMatchObject({
      state: 'Verified',
    })
  })

  test('through a link within the folder', async () => {
    await writeQcow2(join(world.importDir, 'target.qcow2'))
    await symlink('target.qcow2', join(world.importDir, 'link.qcow2'))
    expect(await world.storage.inspectImage({ path: 'link.qcow2', format: 'qcow2' })).toMatchObject({
      state: 'Verified',
    })
  })

  test('when its checksum is right, and refused with both when it is not', async () => {
    const file = await writeQcow2(join(world.importDir, 'checksum.qcow2'))
    const sha256 = await sha256Of(file)
    const query = { path: 'checksum.qcow2', format: 'qcow2' } as const
    expect(await world.storage.inspectImage({ ...query, sha256 })).toMatchObject({ state: 'Verified', sha256 })
    const wrong = 'a'.repeat(64)
    const found = await world.storage.inspectImage({ ...query, sha256: wrong })
    expect(found).toMatchObject({ state: 'Refused', code: 'ChecksumMismatch' })
    expect(found).toMatchObject({ message: expect.stringContaining(sha256) })
    expect(found).toMatchObject({ message: expect.stringContaining(wrong) })
  })

  test('unless it is larger than it may be, which is found before it is read, holes or not', async () => {
    const path = 'sparse.raw'
    await writeFile(join(world.importDir, path), '')
    await truncate(join(world.importDir, path), 10 * 2 ** 40)
    const query = { path, format: 'raw' } as const
    expect(await world.storage.inspectImage({ ...query, maxBytes: 2 ** 36 }, 1000)).toMatchObject({
      state: 'Refused',
      code: 'ImageTooLarge',
      message: expect.stringContaining('spec.imports.maxImageSize'),
    })
    await rm(join(world.importDir, path))
  })

  test('once for all who ask, and those who did not wait are told', async () => {
    await writeQcow2(join(world.importDir, 'shared.qcow2'))
    const events: unknown[] = []
    const { promise: told, resolve } = Promise.withResolvers<void>()
    world.storage.onChange((event) => {
      events.push(event)
      resolve()
    })
    const query = { path: 'shared.qcow2', format: 'qcow2' } as const
    const all = await Promise.all([0, 0, undefined].map((waitMs) => world.storage.inspectImage(query, waitMs)))
    expect(all.map(({ state }) => state)).toEqual(['Checking', 'Checking', 'Verified'])
    await told
    expect(events).toEqual([{ type: 'Image', path: 'shared.qcow2' }])
    expect(await world.storage.inspectImage(query, 0)).toMatchObject({ state: 'Verified' })
  })

  test('anew when the file changed', async () => {
    const file = await writeQcow2(join(world.importDir, 'changing.qcow2'))
    const query = { path: 'changing.qcow2', format: 'qcow2' } as const
    expect(await world.storage.inspectImage(query)).toMatchObject({ state: 'Verified' })
    await writeFile(file, 'something else')
    expect(await world.storage.inspectImage(query)).toMatchObject({ state: 'Refused', code: 'WrongFormat' })
  })
})
