import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { run } from '../run.ts'
import { blankDisk, call, newStorageWorld, sha256Of, type StorageWorld } from './testing.ts'
import { writeQcow2 } from './testing-images.ts'

const MIB = 2 ** 20

/** A storage on a file system of its own, which only root can make. */
async function mountSmall({ dir, storage }: StorageWorld, size: string): Promise<AsyncDisposable & { path: string }> {
  const path = join(dir, 'small')
  await mkdir(path)
  await call('mount', '-t', 'tmpfs', '-o', `size=${size}`, 'holdfast-test', path)
  expect((await storage.putStorage({ name: 'small', path })).problem).toBeUndefined()
  return { path, [Symbol.asyncDispose]: async () => void (await call('umount', path)) }
}

const tried = await run('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'none', '/mnt'])
const canMount = tried.code === 0

test.skipIf(!canMount)('an image that does not fit leaves nothing behind, and fits when there is space', async () => {
  await using world = await newStorageWorld()
  await using small = await mountSmall(world, '2m')
  const file = await writeQcow2(join(world.importDir, 'base.qcow2'))
  const image = { path: 'base.qcow2', format: 'qcow2' as const, sha256: await sha256Of(file) }
  const disk = { ...blankDisk(8 * MIB), storage: 'small', image }
  await expect(world.storage.putDisk(disk)).rejects.toMatchObject({ code: 'NO_SPACE' })
  expect(await readdir(join(small.path, 'images'))).toEqual([])
  expect(await readdir(join(small.path, 'disks'))).toEqual([])
  await call('mount', '-o', 'remount,size=64m', small.path)
  expect(await world.storage.putDisk(disk)).toMatchObject({ state: 'Ready' })
})

test.skipIf(!canMount)('a storage without space says so, and takes disks again when it has some', async () => {
  await using world = await newStorageWorld()
  await using small = await mountSmall(world, '1m')
  await call('sh', '-c', `head -c 2000000 /dev/zero > ${join(small.path, 'other')} || true`)
  const desired = { name: 'small', path: small.path }
  expect(await world.storage.putStorage(desired)).toMatchObject({ capacityBytes: MIB, problem: { code: 'Full' } })
  const disk = { ...blankDisk(MIB), storage: 'small' }
  await expect(world.storage.putDisk(disk)).rejects.toMatchObject({ code: 'NO_SPACE' })
  expect(await readdir(join(small.path, 'disks'))).toEqual([])
  await call('rm', join(small.path, 'other'))
  expect((await world.storage.putStorage(desired)).problem).toBeUndefined()
  expect(await world.storage.putDisk(disk)).toMatchObject({ state: 'Ready' })
})

test.skipIf(!canMount)('a storage that is mounted read-only is not writable, also for root', async () => {
  await using world = await newStorageWorld()
  await using small = await mountSmall(world, '4m')
  const disk = { ...blankDisk(MIB), storage: 'small' }
  await world.storage.putDisk(disk)
  await call('mount', '-o', 'remount,ro', small.path)
  const { problem } = await world.storage.putStorage({ name: 'small', path: small.path })
  expect(problem?.code).toBe('NotWritable')
  await expect(world.storage.putDisk({ ...disk, ...blankDisk(), storage: 'small' })).rejects.toMatchObject({
    code: 'STORAGE_UNAVAILABLE',
  })
  await expect(world.storage.deleteDisk('small', disk.id)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' })
  expect(await readdir(join(small.path, 'disks'))).toEqual([`${disk.id}.qcow2`])
})

test.skipIf(!canMount)('a storage whose mount is missing is not taken for an empty one', async () => {
  await using world = await newStorageWorld()
  const small = await mountSmall(world, '4m')
  const disk = { ...blankDisk(MIB), storage: 'small' }
  await world.storage.putDisk(disk)
  await small[Symbol.asyncDispose]()
  expect((await world.storage.putStorage({ name: 'small', path: small.path })).problem?.code).toBe('NotOurs')
  await expect(world.storage.putDisk(disk)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' })
  await writeFile(join(small.path, 'left'), '')
  expect(await readdir(small.path)).toEqual(['left'])
})
