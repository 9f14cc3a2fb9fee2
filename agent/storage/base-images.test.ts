import { watch } from 'node:fs'
import { readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { silentLog } from '../../lib/log.ts'
import { newBaseImages, type BaseImages } from './base-images.ts'
import type { Folder } from './files.ts'
import { basePath } from './own-image.ts'
import { newDiskFolder, newFolder, sha256Of } from './testing.ts'

interface World extends AsyncDisposable {
  readonly folder: Folder
  readonly baseImages: BaseImages
  readonly image: { readonly path: string; readonly format: 'raw'; readonly sha256: string }
}

async function newWorld(): Promise<World> {
  const dir = await newFolder()
  const folder = await newDiskFolder(join(dir.path, 'storage'))
  const source = join(dir.path, 'disk.raw')
  await writeFile(source, 'content'.repeat(500_000))
  // A raw image is judged by nobody else.
  const qemuImg = { judge: () => Promise.reject(new Error('unexpected')) }
  const baseImages = newBaseImages({ importDir: dir.path, downloadDir: dir.path, qemuImg, log: silentLog })
  const image = { path: 'disk.raw', format: 'raw', sha256: await sha256Of(source) } as const
  return { folder, baseImages, image, [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose]() }
}

const inode = (folder: Folder) => async (base: { readonly file: string }) => (await stat(basePath(folder, base))).ino

test('an image is copied once for all who wait for it, and for those who come later', async () => {
  await using world = await newWorld()
  const { folder, baseImages, image } = world
  const begun = new Set<string>()
  const watcher = watch(join(folder.path, 'images'), (_event, name) => begun.add(String(name)))
  const use = () => baseImages.using(folder, image, inode(folder))
  const first = await Promise.all(Array.from({ length: 20 }, use))
  expect(new Set([...first, await use()]).size).toBe(1)
  await sleep(20)
  watcher.close()
  expect([...begun].filter((name) => name.endsWith('.tmp'))).toHaveLength(1)
  expect(await readdir(join(folder.path, 'images'))).toEqual([`${image.sha256}.raw`])
})

test('an image is not removed while a disk is made on it', async () => {
  await using world = await newWorld()
  const { folder, baseImages, image } = world
  const slowly = () =>
    baseImages.using(folder, image, async (base) => {
      await sleep(3)
      return inode(folder)(base)
    })
  for (let round = 0; round < 10; round += 1) {
    const [, found] = await Promise.all([baseImages.prune(folder), slowly()])
    expect(found).toBeGreaterThan(0)
    // The other way round it is being removed already.
    const removal = baseImages.prune(folder)
    expect(await slowly()).toBeGreaterThan(0)
    await removal
  }
  await baseImages.prune(folder)
  expect(await readdir(join(folder.path, 'images'))).toEqual([])
})

test('no image is removed while a disk cannot be read', async () => {
  await using world = await newWorld()
  const { folder, baseImages, image } = world
  await baseImages.using(folder, image, () => Promise.resolve())
  const disk = join(folder.path, 'disks', 'damaged.qcow2')
  await writeFile(disk, 'damaged')
  await baseImages.prune(folder)
  expect(await readdir(join(folder.path, 'images'))).toEqual([`${image.sha256}.raw`])
  await rm(disk)
  await baseImages.prune(folder)
  expect(await readdir(join(folder.path, 'images'))).toEqual([])
})

test('a copy that fails is begun anew by the next who asks', async () => {
  await using world = await newWorld()
  const { folder, baseImages, image } = world
  const gone = { ...image, path: 'gone' }
  const failing = Array.from({ length: 3 }, () => baseImages.using(folder, gone, inode(folder)))
  const results = await Promise.allSettled(failing)
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
  expect(await readdir(join(folder.path, 'images'))).toEqual([])
  expect(await baseImages.using(folder, image, inode(folder))).toBeGreaterThan(0)
})
