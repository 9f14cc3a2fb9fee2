import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { DesiredDisk } from '../contract.ts'
import { blankDisk, call, newDecision, newStorageWorld, sha256Of } from './testing.ts'
import { fileOf, filesOf, headerOf, patch, putImage, type Image } from './testing-images.ts'

const MIB = 2 ** 20
const GIB = 2 ** 30

test('a blank disk is made once, with lazy refcounts, and readable by nobody else', async () => {
  await using world = await newStorageWorld()
  const disk = blankDisk(GIB)
  const ready = { id: disk.id, storage: 'fast', state: 'Ready', sizeBytes: GIB }
  expect(await world.storage.putDisk(disk)).toEqual(ready)
  const before = await stat(fileOf(world, disk))
  expect(await world.storage.putDisk(disk)).toEqual(ready)
  expect(await world.storage.putDisk({ ...disk, sizeBytes: MIB })).toEqual(ready)
  const after = await stat(fileOf(world, disk))
  expect([after.ino, after.mtimeMs]).toEqual([before.ino, before.mtimeMs])
  expect(after.mode % 0o1000).toBe(0o600)
  expect(await call('qemu-img', 'info', '--output=json', fileOf(world, disk))).toContain('"lazy-refcounts": true')
})

test('a disk that was made before is not made again when its file is gone', async () => {
  await using world = await newStorageWorld()
  const disk = { ...blankDisk(GIB), mustExist: true } as const
  await expect(world.storage.putDisk(disk)).rejects.toMatchObject({
    code: 'DISK_NOT_FOUND',
    message: `There is no disk ${disk.id} on DataStorage fast: restore it`,
  })
  await expect(stat(fileOf(world, disk))).rejects.toMatchObject({ code: 'ENOENT' })
  await world.storage.putDisk({ ...blankDisk(GIB), id: disk.id })
  expect(await world.storage.putDisk(disk)).toMatchObject({ state: 'Ready', sizeBytes: GIB })
})

test('a disk from an image has its content, and leaves the image as it is', async () => {
  await using world = await newStorageWorld()
  const image = await putImage(world)
  const disk = { ...blankDisk(8 * MIB), image }
  expect(await world.storage.putDisk(disk)).toMatchObject({ state: 'Ready', sizeBytes: 8 * MIB })
  const source = join(world.importDir, image.path)
  await call('qemu-img', 'resize', '-q', source, '8M')
  await call('qemu-img', 'compare', '-f', 'qcow2', '-F', 'qcow2', source, fileOf(world, disk))

  const copy = join(world.storagePath, 'images', `${image.sha256}.qcow2`)
  expect((await stat(copy)).mode % 0o1000).toBe(0o444)
  await call('qemu-io', '-f', 'qcow2', '-c', 'write -P 7 0 1M', fileOf(world, disk))
  expect(await sha256Of(copy)).toBe(image.sha256)
  const [opened] = await world.storage.claimDisks({ id: randomUUID(), decision: newDecision() }, [disk])
  expect(opened?.layers).toEqual([
    { path: fileOf(world, disk), format: 'qcow2' },
    { path: copy, format: 'qcow2' },
  ])
})

test('a disk from a raw image with holes keeps them', async () => {
  await using world = await newStorageWorld()
  const file = join(world.importDir, 'sparse.raw')
  await writeFile(file, 'begin')
  await truncate(file, 64 * MIB)
  const image: Image = { path: 'sparse.raw', format: 'raw', sha256: await sha256Of(file) }
  const disk = { ...blankDisk(64 * MIB), image }
  await world.storage.putDisk(disk)
  const { blocks, size } = await stat(join(world.storagePath, 'images', `${image.sha256}.raw`))
  expect(size).toBe(64 * MIB)
  expect(blocks * 512).toBeLessThan(2 * MIB)
  await call('qemu-img', 'compare', '-f', 'raw', '-F', 'qcow2', file, fileOf(world, disk))
})

test('twenty disks from one image at once make one copy of it', async () => {
  await using world = await newStorageWorld()
  const image = await putImage(world)
  const disks = Array.from({ length: 20 }, () => ({ ...blankDisk(8 * MIB), image }))
  const made = await Promise.all(disks.map((disk) => world.storage.putDisk(disk)))
  expect(made.map(({ state }) => state)).toEqual(Array(20).fill('Ready'))
  expect(await filesOf(world, 'images')).toEqual([`${image.sha256}.qcow2`])
  expect((await filesOf(world, 'disks')).toSorted()).toEqual(disks.map(({ id }) => `${id}.qcow2`).toSorted())
})

test('twenty orders of one disk at once make one disk', async () => {
  await using world = await newStorageWorld()
  const disk = { ...blankDisk(8 * MIB), image: await putImage(world) }
  const sizes = Array.from({ length: 20 }, (_, index) => (8 + (index % 3)) * MIB)
  const made = await Promise.all(sizes.map((sizeBytes) => world.storage.putDisk({ ...disk, sizeBytes })))
  expect(made.every(({ state, sizeBytes }, index) => state === 'Ready' && sizeBytes >= (sizes[index] ?? 0))).toBe(true)
  expect((await headerOf(fileOf(world, disk))).virtualSizeBytes).toBe(10 * MIB)
  expect(await filesOf(world, 'disks')).toEqual([`${disk.id}.qcow2`])
})

test('who does not wait for a disk is told, and who does not wait for a failure gets it when he asks again', async () => {
  await using world = await newStorageWorld()
  const image = await putImage(world)
  const events: unknown[] = []
  const told = new EventTarget()
  world.storage.onChange((event) => {
    events.push(event)
    told.dispatchEvent(new Event('told'))
  })
  const disk = { ...blankDisk(8 * MIB), image }
  const ended = once(told, 'told')
  expect(await world.storage.putDisk(disk, 0)).toMatchObject({ state: 'Creating' })
  await ended
  expect(await world.storage.putDisk(disk, 0)).toMatchObject({ state: 'Ready' })

  const bad = { ...blankDisk(8 * MIB), image: { ...image, sha256: 'a'.repeat(64) } }
  const failed = once(told, 'told')
  expect(await world.storage.putDisk(bad, 0)).toMatchObject({ state: 'Creating' })
  await failed
  await expect(world.storage.putDisk(bad, 0)).rejects.toMatchObject({ code: 'IMAGE_REJECTED' })
  expect(events).toEqual([
    { type: 'Disk', disk: { id: disk.id, storage: 'fast', state: 'Ready', sizeBytes: 8 * MIB } },
    { type: 'Disk', disk: { id: bad.id, storage: 'fast', state: 'Creating', sizeBytes: 8 * MIB } },
  ])
})

test.each<[string, string, (image: Image) => Partial<DesiredDisk>]>([
  ['smaller than its image', 'BAD_REQUEST', () => ({ sizeBytes: MIB })],
  ['of no size', 'BAD_REQUEST', () => ({ sizeBytes: 0 })],
  ['too large', 'BAD_REQUEST', () => ({ sizeBytes: 2 ** 47 })],
  [
    'from an image that is another by now',
    'IMAGE_REJECTED',
    (image) => ({ image: { ...image, sha256: 'b'.repeat(64) } }),
  ],
  ['from an image that is gone', 'IMAGE_REJECTED', (image) => ({ image: { ...image, path: 'gone' } })],
  ['on a storage that nobody knows', 'STORAGE_UNAVAILABLE', () => ({ storage: 'unknown' })],
])('a disk %s is refused, and nothing remains of it', async (_name, code, change) => {
  await using world = await newStorageWorld()
  const image = await putImage(world)
  const disk = { ...blankDisk(8 * MIB), image, ...change(image) }
  await expect(world.storage.putDisk(disk)).rejects.toMatchObject({ code })
  expect(await filesOf(world, 'disks')).toEqual([])
  expect((await filesOf(world, 'images')).filter((name) => name.endsWith('.tmp'))).toEqual([])
})

test('a disk grows, and never shrinks', async () => {
  await using world = await newStorageWorld()
  const disk = blankDisk(MIB)
  await world.storage.putDisk(disk)
  expect(await world.storage.putDisk({ ...disk, sizeBytes: 3 * MIB })).toMatchObject({
    state: 'Ready',
    sizeBytes: 3 * MIB,
  })
  expect(await world.storage.putDisk({ ...disk, sizeBytes: 2 * MIB })).toMatchObject({
    state: 'Ready',
    sizeBytes: 3 * MIB,
  })
  expect((await headerOf(fileOf(world, disk))).virtualSizeBytes).toBe(3 * MIB)
})

test('a disk that is claimed is not deleted, and one that is released is, with the image that nobody uses', async () => {
  await using world = await newStorageWorld()
  const image = await putImage(world)
  const [first, second] = [0, 1].map(() => ({ ...blankDisk(8 * MIB), image })) as [DesiredDisk, DesiredDisk]
  await Promise.all([first, second].map((disk) => world.storage.putDisk(disk)))
  const machine = { id: randomUUID(), decision: newDecision() }
  await world.storage.claimDisks(machine, [first, second])
  const deleting = world.storage.deleteDisk('fast', first.id)
  await expect(deleting).rejects.toMatchObject({ code: 'DISK_IN_USE' })

  await world.storage.releaseDisks(machine.id, (id) => id === second.id)
  await world.storage.deleteDisk('fast', first.id)
  await world.storage.deleteDisk('fast', first.id)
  expect(await filesOf(world, 'images')).toEqual([`${image.sha256}.qcow2`])
  expect((await filesOf(world, 'disks')).toSorted()).toEqual([`${second.id}.claim.json`, `${second.id}.qcow2`])

  await world.storage.releaseDisks(machine.id, () => false)
  await world.storage.deleteDisk('fast', second.id)
  expect(await filesOf(world, 'disks')).toEqual([])
  expect(await filesOf(world, 'images')).toEqual([])
})

test('disks that are made and deleted at once never lose their image', async () => {
  await using world = await newStorageWorld()
  const image = await putImage(world)
  let previous: DesiredDisk | undefined
  for (let round = 0; round < 15; round += 1) {
    const disk = { ...blankDisk(8 * MIB), image }
    await Promise.all([world.storage.putDisk(disk), previous && world.storage.deleteDisk('fast', previous.id)])
    await call('qemu-img', 'check', '-q', '-f', 'qcow2', fileOf(world, disk))
    previous = disk
  }
  if (previous) await world.storage.deleteDisk('fast', previous.id)
  expect(await filesOf(world, 'images')).toEqual([])
})

test.each<[string, string, (path: string) => Promise<unknown>]>([
  [
    'another file of the host',
    'IMAGE_REJECTED',
    (path) => call('qemu-img', 'rebase', '-u', '-b', '/etc/passwd', '-F', 'raw', path),
  ],
  [
    'an image outside the storage',
    'IMAGE_REJECTED',
    (path) => call('qemu-img', 'rebase', '-u', '-b', `../../images/${'a'.repeat(64)}.raw`, '-F', 'raw', path),
  ],
  [
    'an image of another format than it says',
    'IMAGE_REJECTED',
    (path) => call('qemu-img', 'rebase', '-u', '-b', `../images/${'a'.repeat(64)}.qcow2`, '-F', 'raw', path),
  ],
  [
    'an image that is missing',
    'STORAGE_UNAVAILABLE',
    (path) => call('qemu-img', 'rebase', '-u', '-b', `../images/${'a'.repeat(64)}.raw`, '-F', 'raw', path),
  ],
  ['a data file', 'IMAGE_REJECTED', (path) => patch(path, 79, Buffer.from([4]))],
])('[IMG-11] a disk that refers to %s is not opened', async (_name, code, edit) => {
  await using world = await newStorageWorld()
  const disk = blankDisk()
  await world.storage.putDisk(disk)
  await edit(fileOf(world, disk))
  const claiming = world.storage.claimDisks({ id: randomUUID(), decision: newDecision() }, [disk])
  await expect(claiming).rejects.toMatchObject({ code })
})

test('an agent removes what an earlier one left half made, and nothing else', async () => {
  await using world = await newStorageWorld()
  const image = await putImage(world)
  const disk = { ...blankDisk(8 * MIB), image }
  await world.storage.putDisk(disk)
  const { agentId } = JSON.parse(await readFile(join(world.dir, 'state', 'storages.json'), 'utf8')) as {
    agentId: string
  }
  const left = `.${agentId}.${randomUUID()}.${randomUUID()}.tmp`
  const foreign = `.${randomUUID()}.${randomUUID()}.${randomUUID()}.tmp`
  const unused = `${'c'.repeat(64)}.raw`
  for (const name of [left, foreign]) await writeFile(join(world.storagePath, 'disks', name), '')
  for (const name of [left, unused]) await writeFile(join(world.storagePath, 'images', name), '')
  const next = await world.reopen()
  const other = { ...disk, id: randomUUID() }
  await next.putDisk(other)
  const disks = [disk, other].map(({ id }) => `${id}.qcow2`)
  expect((await filesOf(world, 'disks')).toSorted()).toEqual([foreign, ...disks].toSorted())
  await next.deleteDisk('fast', other.id)
  expect(await filesOf(world, 'images')).toEqual([`${image.sha256}.qcow2`])
  await rm(join(world.storagePath, 'disks', foreign))
})

test('a folder of disks that looks empty costs no image', async () => {
  await using world = await newStorageWorld()
  const image = await putImage(world)
  const disk = { ...blankDisk(8 * MIB), image }
  await world.storage.putDisk(disk)
  await rename(join(world.storagePath, 'disks'), join(world.storagePath, 'away'))
  await mkdir(join(world.storagePath, 'disks'))
  await world.storage.deleteDisk('fast', disk.id)
  expect(await filesOf(world, 'images')).toEqual([`${image.sha256}.qcow2`])
})

test('a damaged disk is not used, not replaced, and can be deleted', async () => {
  await using world = await newStorageWorld()
  const disk = blankDisk()
  await world.storage.putDisk(disk)
  await writeFile(fileOf(world, disk), 'not what it was')
  await expect(world.storage.putDisk(disk)).rejects.toMatchObject({ code: 'IMAGE_REJECTED' })
  expect(await readFile(fileOf(world, disk), 'utf8')).toBe('not what it was')
  await world.storage.deleteDisk('fast', disk.id)
  expect(await filesOf(world, 'disks')).toEqual([])
})

test('a host without qemu-img says so', async () => {
  await using world = await newStorageWorld({ qemuImg: 'no-qemu-img' })
  await expect(world.storage.putDisk(blankDisk())).rejects.toMatchObject({
    code: 'QEMU_UNAVAILABLE',
    message: expect.stringContaining('apt-get install qemu-utils'),
  })
  expect(await filesOf(world, 'disks')).toEqual([])
  const { path } = await putImage(world)
  const found = await world.storage.inspectImage({ path, format: 'qcow2' })
  expect(found).toMatchObject({ state: 'Refused', code: 'CheckFailed', message: expect.stringContaining('qemu-utils') })
})
