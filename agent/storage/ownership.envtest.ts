import { randomUUID } from 'node:crypto'
import { chmod, mkdir, readFile, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { canKillAtCalls } from '../testing-kill.ts'
import { blankDisk, call, newDecision, newStorageWorld } from './testing.ts'
import { fileOf, filesOf, headerOf, openForWriting, putImage } from './testing-images.ts'

const MIB = 2 ** 20

test('a disk that QEMU has open grows when its machine starts the next time', async () => {
  await using world = await newStorageWorld()
  const disk = blankDisk(MIB)
  await world.storage.putDisk(disk)
  const machine = { id: randomUUID(), decision: newDecision() }
  await world.storage.claimDisks(machine, [disk])
  {
    await using qemu = await openForWriting(fileOf(world, disk))
    expect(qemu.isOpen()).toBe(true)
    const larger = { ...disk, sizeBytes: 2 * MIB }
    expect(await world.storage.putDisk(larger)).toMatchObject({ state: 'Growing', sizeBytes: MIB })
    expect(await world.storage.putDisk(disk)).toMatchObject({ state: 'Ready', sizeBytes: MIB })
  }
  await world.storage.claimDisks({ ...machine, decision: newDecision(2, machine.decision.id) }, [disk])
  expect((await headerOf(fileOf(world, disk))).virtualSizeBytes).toBe(2 * MIB)
})

test('a disk that was not closed cleanly is repaired before it is opened, with what was flushed', async () => {
  await using world = await newStorageWorld()
  const disk = blankDisk(8 * MIB)
  await world.storage.putDisk(disk)
  const path = fileOf(world, disk)
  await call('qemu-io', '-f', 'qcow2', '-c', 'write -P 9 0 1M', '-c', 'flush', '-c', 'abort', path).catch(
    () => undefined,
  )
  expect((await headerOf(path)).isDirty).toBe(true)
  await world.storage.claimDisks({ id: randomUUID(), decision: newDecision() }, [disk])
  expect((await headerOf(path)).isDirty).toBe(false)
  await call('qemu-img', 'check', '-f', 'qcow2', path)
  expect(await call('qemu-io', '-f', 'qcow2', '-c', 'read -P 9 0 1M', path)).toContain('read 1048576/1048576')
})

test('a disk that is not closed cleanly, and open, is not touched', async () => {
  await using world = await newStorageWorld()
  const disk = blankDisk(8 * MIB)
  await world.storage.putDisk(disk)
  await using qemu = await openForWriting(fileOf(world, disk))
  expect((await headerOf(fileOf(world, disk))).isDirty).toBe(true)
  const claiming = world.storage.claimDisks({ id: randomUUID(), decision: newDecision() }, [disk])
  await expect(claiming).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' })
  expect(qemu.isOpen()).toBe(true)
})

test('of a machine’s disks all are claimed or none', async () => {
  await using world = await newStorageWorld()
  const disks = [blankDisk(), blankDisk(), blankDisk()]
  await Promise.all(disks.map((disk) => world.storage.putDisk(disk)))
  const other = { id: randomUUID(), decision: newDecision(3) }
  await world.storage.claimDisks(other, disks.slice(2))
  const machine = { id: randomUUID(), decision: newDecision() }
  await expect(world.storage.claimDisks(machine, disks)).rejects.toMatchObject({
    code: 'DISK_CLAIMED',
    details: { machineId: other.id, decision: { id: other.decision.id, epoch: 3 } },
  })
  const missing = world.storage.claimDisks(machine, [...disks.slice(0, 2), blankDisk()])
  await expect(missing).rejects.toMatchObject({ code: 'DISK_NOT_FOUND' })
  expect((await filesOf(world, 'disks')).filter((name) => name.endsWith('.json'))).toHaveLength(1)
  await world.storage.releaseDisks(other.id, () => false)
  expect(await world.storage.claimDisks(machine, disks)).toHaveLength(3)
})

test('[IMG-11] an image that was altered on the storage is not used', async () => {
  await using world = await newStorageWorld()
  const image = await putImage(world)
  const disk = { ...blankDisk(8 * MIB), image }
  await world.storage.putDisk(disk)
  const copy = join(world.storagePath, 'images', `${image.sha256}.qcow2`)
  await chmod(copy, 0o644)
  await call('qemu-img', 'rebase', '-u', '-f', 'qcow2', '-b', '/etc/passwd', '-F', 'raw', copy)
  const claiming = world.storage.claimDisks({ id: randomUUID(), decision: newDecision() }, [disk])
  await expect(claiming).rejects.toMatchObject({ code: 'IMAGE_REJECTED' })
  const another = world.storage.putDisk({ ...disk, id: randomUUID() })
  await expect(another).rejects.toMatchObject({ code: 'IMAGE_REJECTED' })
})

test('a storage that is away makes every call wait, and nothing is lost', async () => {
  await using world = await newStorageWorld()
  const { storage, storagePath } = world
  const disk = blankDisk()
  await storage.putDisk(disk)
  const machine = { id: randomUUID(), decision: newDecision() }
  await storage.claimDisks(machine, [disk])
  await rename(storagePath, `${storagePath}-away`)
  const unavailable = { code: 'STORAGE_UNAVAILABLE' }
  await expect(storage.putDisk(disk)).rejects.toMatchObject(unavailable)
  await expect(storage.deleteDisk('fast', disk.id)).rejects.toMatchObject(unavailable)
  await expect(storage.claimDisks(machine, [disk])).rejects.toMatchObject(unavailable)
  await expect(storage.releaseDisks(machine.id, () => false)).rejects.toMatchObject(unavailable)
  const next = await world.reopen()
  await expect(next.putDisk(disk)).rejects.toMatchObject(unavailable)
  await rename(`${storagePath}-away`, storagePath)
  expect(await next.putDisk(disk)).toMatchObject({ state: 'Ready' })
  expect(await next.claimDisks(machine, [disk])).toHaveLength(1)
})

test('a machine without disks on a storage that is away is released', async () => {
  await using world = await newStorageWorld()
  await world.storage.releaseDisks(randomUUID(), () => false)
  await rename(world.storagePath, `${world.storagePath}-away`)
  await expect(world.storage.releaseDisks(randomUUID(), () => false)).resolves.toBeUndefined()
})

test('only the storages that may hold its claims keep a machine from being released', async () => {
  await using world = await newStorageWorld()
  const smallPath = join(world.dir, 'small')
  await mkdir(smallPath)
  await world.storage.putStorage({ name: 'small', path: smallPath })
  const disk = blankDisk()
  await world.storage.putDisk(disk)
  const machine = { id: randomUUID(), decision: newDecision() }
  await world.storage.claimDisks(machine, [disk])
  await rename(smallPath, `${smallPath}-away`)

  const next = await world.reopen()
  const another = { id: randomUUID(), storage: 'small' }
  await expect(next.releaseDisks(machine.id, () => false, [disk, another])).rejects.toMatchObject({
    code: 'STORAGE_UNAVAILABLE',
    message: expect.stringMatching(/DataStorage small .*: mount it again$/),
  })
  expect(await filesOf(world, 'disks')).toEqual([`${disk.id}.qcow2`])
  await world.storage.claimDisks(machine, [disk])
  await next.releaseDisks(machine.id, (id) => id === another.id, [disk, another])
  expect(await filesOf(world, 'disks')).toEqual([`${disk.id}.qcow2`])
  // Of a machine whose record was lost nobody knows where its claims lie.
  await expect(next.releaseDisks(machine.id, () => false)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' })
})

const isRoot = process.getuid?.() === 0

test.skipIf(!isRoot)('a disk is handed to the user of its machine, and taken back', async () => {
  await using world = await newStorageWorld()
  const disk = blankDisk()
  await world.storage.putDisk(disk)
  const machine = { id: randomUUID(), decision: newDecision(), owner: { uid: 12_345, gid: 12_346 } }
  await world.storage.claimDisks(machine, [disk])
  expect(await stat(fileOf(world, disk))).toMatchObject({ uid: 12_345, gid: 12_346 })
  await world.storage.releaseDisks(machine.id, () => false)
  expect(await stat(fileOf(world, disk))).toMatchObject({ uid: 0, gid: 0 })
})

test('a disk that its running machine has open is claimed by the next decision, and not touched', async () => {
  await using world = await newStorageWorld()
  const disk = blankDisk(8 * MIB)
  await world.storage.putDisk(disk)
  const machine = { id: randomUUID(), decision: newDecision() }
  await world.storage.claimDisks(machine, [disk])
  await using qemu = await openForWriting(fileOf(world, disk))
  await world.storage.putDisk({ ...disk, sizeBytes: 16 * MIB })
  const decision = newDecision(2, machine.decision.id)
  expect(await world.storage.claimDisks({ ...machine, decision, isOpen: () => true }, [disk])).toHaveLength(1)
  await expect(world.storage.claimDisks(machine, [disk])).rejects.toMatchObject({ code: 'DISK_CLAIMED' })
  expect(await headerOf(fileOf(world, disk))).toMatchObject({ isDirty: true, virtualSizeBytes: 8 * MIB })
  expect(qemu.isOpen()).toBe(true)
})

/** Opens a storage as a process of its own, so that its calls can be told from those of a test, and looks for claims. */
const REOPEN = `
  const [module, config] = process.argv.slice(1)
  const log = { info: () => undefined, warn: () => undefined }
  const storage = await (await import(module)).openStorage({ ...JSON.parse(config), log })
  await storage.claimsOf('nobody')
  process.exit()
`

test('names that an earlier process made are durable before they are counted on', async ({ skip }) => {
  skip(!(await canKillAtCalls()), 'strace is to watch, and only root may: apt-get install strace')
  await using world = await newStorageWorld()
  const [state, traced] = [join(world.dir, 'state'), join(world.dir, 'traced')]
  const dirs = { stateDir: state, downloadDir: join(state, 'images'), runDir: join(world.dir, 'run') }
  const config = { ...dirs, importDir: world.importDir, hasOwnUsers: false, qemuImg: 'qemu-img' }
  const module = join(import.meta.dirname, 'storage.ts')
  const watched = ['-f', '-y', '-e', 'trace=fsync', '-o', traced, process.execPath]
  await call('strace', ...watched, '--input-type=module', '-e', REOPEN, module, JSON.stringify(config))
  const calls = await readFile(traced, 'utf8')
  for (const part of ['disks', 'images']) expect(calls).toContain(`<${join(world.storagePath, part)}>`)
})
