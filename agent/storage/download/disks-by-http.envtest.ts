import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { DesiredImage } from '../../contract.ts'
import { blankDisk, call, newStorageWorld, sha256Of } from '../testing.ts'
import { fileOf, filesOf, patch, putCanary, u64, writeQcow2 } from '../testing-images.ts'
import { newDownloadWorld, orderOf, sendRange, serve } from './testing.ts'

test('a disk is made from an image by http, and leaves it as it is', async () => {
  await using world = await newStorageWorld()
  const path = await writeQcow2(join(world.dir, 'published.qcow2'))
  const bytes = await readFile(path)
  await using server = await serve((request, response) => sendRange(bytes, request, response))
  const order = orderOf(bytes, server.url, { format: 'qcow2' })
  expect(await world.storage.putImage(order)).toMatchObject({ state: 'Verified', sha256: order.sha256 })
  const image = { format: 'qcow2', sha256: order.sha256 } as const
  const disk = { ...blankDisk(8 * 2 ** 20), image }
  expect(await world.storage.putDisk(disk)).toMatchObject({ state: 'Ready' })
  expect(await filesOf(world, 'images')).toEqual([`${order.sha256}.qcow2`])

  await world.storage.deleteImage(order.sha256)
  await world.storage.putDisk({ ...disk, ...blankDisk(8 * 2 ** 20) }) // From the copy on the storage.
  await call('qemu-img', 'resize', '-q', path, '8M')
  await call('qemu-img', 'compare', '-f', 'qcow2', '-F', 'qcow2', path, fileOf(world, disk))
})

test('a disk from an image that was not downloaded, or under a name that leads elsewhere, is refused', async () => {
  await using world = await newStorageWorld()
  for (const sha256 of ['b'.repeat(64), `${'../'.repeat(21)}a`]) {
    const disk = { ...blankDisk(), image: { format: 'raw' as const, sha256 } }
    await expect(world.storage.putDisk(disk)).rejects.toMatchObject({ code: /^(IMAGE_REJECTED|BAD_REQUEST)$/ })
  }
  expect(await filesOf(world, 'images')).toEqual([])
})

const blank = (path: string, ...options: string[]) =>
  call('qemu-img', 'create', '-q', '-f', 'qcow2', ...options, path, '8M')

interface Hostile {
  readonly format?: DesiredImage['format']
  readonly code: string
  readonly make: (path: string, canary: string) => Promise<unknown>
}

const hostile: Record<string, Hostile> = {
  'a backing file': {
    code: 'ImageRefused',
    make: (path, canary) =>
      call('qemu-img', 'create', '-q', '-f', 'qcow2', '-u', '-b', canary, '-F', 'raw', path, '8M'),
  },
  'a qcow2 header in a raw disk': { format: 'raw', code: 'ImageRefused', make: (path) => blank(path) },
  'a VMDK descriptor named qcow2': {
    code: 'WrongFormat',
    make: (path, canary) => writeFile(path, `# Disk DescriptorFile\nversion=1\nRW 1000 FLAT "${canary}" 0\n`),
  },
  'an internal snapshot': {
    code: 'ImageRefused',
    make: async (path) => {
      await blank(path)
      await call('qemu-img', 'snapshot', '-c', 'then', path)
    },
  },
  'a mark of corruption': { code: 'ImageCorrupt', make: (path) => blank(path).then(() => patch(path, 72, u64(2n))) },
  'a huge disk': {
    code: 'ImageRefused',
    make: (path) => call('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', 'cluster_size=2M', path, '65T'),
  },
  'nothing in it': { code: 'ImageTruncated', make: (path) => writeFile(path, '') },
}

describe('an image by http is refused', () => {
  test.each(Object.entries(hostile))('[IMG-11] with %s', async (_name, { format = 'qcow2', code, make }) => {
    await using world = await newDownloadWorld()
    const canary = await putCanary(world.dir)
    const path = join(world.dir, 'published')
    await make(path, canary.path)
    const bytes = await readFile(path)
    await using server = await serve((request, response) => sendRange(bytes, request, response))
    const before = await canary.state()
    const order = orderOf(bytes, server.url, { format })
    expect(order.sha256).toBe(await sha256Of(path))
    expect(await world.downloads.put(order, undefined)).toMatchObject({ state: 'Refused', code })
    // It is known by then, and not fetched again.
    expect(await world.downloads.put(order, undefined)).toMatchObject({ state: 'Refused', code })
    expect(server.requests).toHaveLength(1)
    expect(await canary.state()).toEqual(before)
  })
})
