import { randomUUID } from 'node:crypto'
import { chmod, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { silentLog } from '../../lib/log.ts'
import { openStorages, type Storages } from './storages.ts'
import { newFolder } from './testing.ts'

interface World extends AsyncDisposable {
  readonly dir: string
  readonly path: string
  readonly storages: Storages
  reopen(): Promise<Storages>
}

async function newWorld({ hasOwnUsers = false } = {}): Promise<World> {
  const dir = await newFolder()
  const path = join(dir.path, 'storage')
  await Promise.all([path, join(dir.path, 'state')].map((folder) => mkdir(folder)))
  const onFirstUse = () => Promise.resolve()
  const [stateDir, importDir] = [join(dir.path, 'state'), join(dir.path, 'import')]
  const reopen = () => openStorages({ stateDir, otherDirs: [importDir], hasOwnUsers, log: silentLog, onFirstUse })
  return {
    dir: dir.path,
    path,
    reopen,
    storages: await reopen(),
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  }
}

const unavailable = { code: 'STORAGE_UNAVAILABLE' }

test('a storage is marked at its first use, and known to the next agent without being told', async () => {
  await using world = await newWorld()
  const { path, storages } = world
  const first = await storages.put({ name: 'fast', path })
  expect(first).toMatchObject({ name: 'fast', capacityBytes: expect.any(Number) })
  expect(first.problem).toBeUndefined()
  expect(first.capacityBytes).toBeGreaterThan(0)
  const marker = await readFile(join(path, '.holdfast-storage'), 'utf8')
  expect(JSON.parse(marker)).toMatchObject({ storage: 'fast', id: expect.any(String) })

  const next = await world.reopen()
  expect(await next.require('fast')).toMatchObject({ name: 'fast', path })
  expect((await next.put({ name: 'fast', path })).problem).toBeUndefined()
  expect(await readFile(join(path, '.holdfast-storage'), 'utf8')).toBe(marker)
  expect(await readdir(path)).toEqual(['.holdfast-storage', 'disks', 'images'])
})

test('a folder that is missing is not made', async () => {
  await using world = await newWorld()
  const path = join(world.path, 'missing')
  expect(await world.storages.put({ name: 'fast', path })).toEqual({
    name: 'fast',
    capacityBytes: 0,
    availableBytes: 0,
    problem: { code: 'PathMissing', message: expect.stringContaining(path) },
  })
  await expect(readdir(path)).rejects.toMatchObject({ code: 'ENOENT' })
  await expect(world.storages.require('fast')).rejects.toMatchObject(unavailable)
})

test('a folder that appears without an order is not used', async () => {
  await using world = await newWorld()
  const path = join(world.path, 'late')
  await world.storages.put({ name: 'fast', path })
  await mkdir(path)
  await expect(world.storages.require('fast')).rejects.toMatchObject(unavailable)
  expect((await world.storages.put({ name: 'fast', path })).problem).toBeUndefined()
})

test('a storage that goes away is missing, and used again when it comes back', async () => {
  await using world = await newWorld()
  const { path, storages } = world
  await storages.put({ name: 'fast', path })
  await rename(path, `${path}-away`)
  expect((await storages.put({ name: 'fast', path })).problem?.code).toBe('PathMissing')
  await expect(storages.require('fast')).rejects.toMatchObject(unavailable)
  expect((await (await world.reopen()).put({ name: 'fast', path })).problem?.code).toBe('PathMissing')
  await rename(`${path}-away`, path)
  expect(await storages.require('fast')).toMatchObject({ path })
})

test('a mount point without its mount is not taken for the storage', async () => {
  await using world = await newWorld()
  const { path, storages } = world
  await storages.put({ name: 'fast', path })
  await rename(path, `${path}-away`)
  await mkdir(path)
  expect((await storages.put({ name: 'fast', path })).problem?.code).toBe('NotOurs')
  await expect(storages.require('fast')).rejects.toMatchObject(unavailable)
  expect(await readdir(path)).toEqual([])
})

test.each([
  ['of another storage', JSON.stringify({ storage: 'slow', id: randomUUID() })],
  ['with another marker of the same name', JSON.stringify({ storage: 'fast', id: randomUUID() })],
  ['with a marker that cannot be read', 'hello'],
])('a folder %s is not taken for a storage that is known', async (_name, marker) => {
  await using world = await newWorld()
  const { path, storages } = world
  await storages.put({ name: 'fast', path })
  await writeFile(join(path, '.holdfast-storage'), marker)
  expect((await storages.put({ name: 'fast', path })).problem?.code).toBe('NotOurs')
  await expect(storages.require('fast')).rejects.toMatchObject(unavailable)
  expect(await readFile(join(path, '.holdfast-storage'), 'utf8')).toBe(marker)
})

test('a storage of the same name that another agent marked is taken', async () => {
  await using world = await newWorld()
  const marker = JSON.stringify({ storage: 'fast', id: randomUUID() })
  await writeFile(join(world.path, '.holdfast-storage'), marker)
  expect((await world.storages.put({ name: 'fast', path: world.path })).problem).toBeUndefined()
})

test('a folder with disks and no marker is not taken', async () => {
  await using world = await newWorld()
  await mkdir(join(world.path, 'disks'))
  await writeFile(join(world.path, 'disks', `${randomUUID()}.qcow2`), '')
  expect((await world.storages.put({ name: 'fast', path: world.path })).problem?.code).toBe('NotOurs')
  expect(await readdir(world.path)).toEqual(['disks'])
})

test('two storages cannot share a folder', async () => {
  await using world = await newWorld()
  const { path, storages } = world
  const both = await Promise.all([storages.put({ name: 'fast', path }), storages.put({ name: 'slow', path })])
  expect(both.map(({ problem }) => problem?.code ?? 'Used').toSorted((a, b) => a.localeCompare(b))).toEqual([
    'NotOurs',
    'Used',
  ])
})

test('a storage moves to another path only with its disks', async () => {
  await using world = await newWorld()
  const { path, storages } = world
  const elsewhere = `${path}-elsewhere`
  await mkdir(elsewhere)
  await storages.put({ name: 'fast', path })
  const disk = join(path, 'disks', `${randomUUID()}.qcow2`)
  await writeFile(disk, '')
  expect((await storages.put({ name: 'fast', path: elsewhere })).problem?.code).toBe('NotOurs')
  expect(await storages.require('fast')).toMatchObject({ path })
  await rm(elsewhere, { recursive: true })
  await rename(path, elsewhere)
  expect((await storages.put({ name: 'fast', path: elsewhere })).problem).toBeUndefined()
  expect(await storages.require('fast')).toMatchObject({ path: elsewhere })
})

test('a storage whose folder is away does not move to an empty one', async () => {
  await using world = await newWorld()
  const { path, storages } = world
  await storages.put({ name: 'fast', path })
  await rename(path, `${path}-away`)
  await mkdir(`${path}-empty`)
  expect((await storages.put({ name: 'fast', path: `${path}-empty` })).problem?.code).toBe('NotOurs')
})

test('a storage that never held a disk moves freely', async () => {
  await using world = await newWorld()
  const { path, storages } = world
  await storages.put({ name: 'fast', path })
  await mkdir(`${path}-other`)
  expect((await storages.put({ name: 'fast', path: `${path}-other` })).problem).toBeUndefined()
})

test('a file is no storage', async () => {
  await using world = await newWorld()
  const path = join(world.path, 'file')
  await writeFile(path, '')
  expect((await world.storages.put({ name: 'fast', path })).problem?.code).toBe('NotADirectory')
  expect((await world.storages.put({ name: 'fast', path: join(path, 'below') })).problem?.code).toBe('NotADirectory')
})

test('a path with a name that is too long is missing', async () => {
  await using world = await newWorld()
  const path = join(world.path, 'x'.repeat(300))
  expect((await world.storages.put({ name: 'fast', path })).problem?.code).toBe('PathMissing')
})

test('a path from nowhere is refused', async () => {
  await using world = await newWorld()
  await expect(world.storages.put({ name: 'fast', path: 'disks' })).rejects.toMatchObject({ code: 'BAD_REQUEST' })
})

test.each([
  '/',
  '//',
  '/dev/shm',
  '/proc',
  '/proc/self/cwd',
  '/sys/',
  '/run/holdfast',
  '/var/run',
  '{}',
  '{}/state',
  '{}/state/machines',
  '{}/state/../state/',
  '{}/import',
  '{}/import/disks',
  '{}/link/machines',
])('a storage is never at %s', async (template) => {
  await using world = await newWorld()
  await mkdir(join(world.dir, 'state', 'machines'))
  await symlink(join(world.dir, 'state'), join(world.dir, 'link'))
  const path = template.replace('{}', world.dir)
  const { problem } = await world.storages.put({ name: 'fast', path })
  expect(problem).toEqual({
    code: 'NotOurs',
    message: expect.stringMatching(/^The folder [^\n]*: choose a folder [^\n]*[^.\n]$/),
  })
  expect(await readdir(world.dir, { recursive: true })).not.toContain('.holdfast-storage')
  expect(await world.storages.survey()).toEqual({ usable: [], unusable: [] })
})

test.each(['{}/.inside', '{}/..', '{}-link/.inside', '{}/../storage/.inside/'])(
  'a storage is not at %s of another one that is taken at the same time',
  async (template) => {
    await using world = await newWorld()
    const { storages } = world
    const outer = join(world.dir, 'outer')
    const path = join(outer, 'storage')
    await mkdir(join(path, '.inside'), { recursive: true })
    await symlink(path, `${path}-link`)
    const chosen = { name: 'slow', path: template.replace('{}', path) }
    const both = [storages.put({ name: 'fast', path }), storages.put(chosen)]
    const codes = (await Promise.all(both)).map(({ problem }) => problem?.code)
    expect(new Set(codes)).toEqual(new Set(['NotOurs', undefined]))
  },
)

test('a storage is not inside another one that is known from before, also while that is away', async () => {
  await using world = await newWorld()
  const { path, storages } = world
  await mkdir(join(path, '.inside'))
  await storages.put({ name: 'fast', path })
  const next = await world.reopen()
  const inside = { name: 'slow', path: join(path, '.inside') }
  const message = expect.stringContaining(`${path}, the folder of DataStorage fast: choose`)
  expect((await next.put(inside)).problem).toEqual({ code: 'NotOurs', message })
  await rename(path, `${path}-away`)
  expect((await next.put(inside)).problem).toEqual({ code: 'NotOurs', message })
})

test('a storage beside another one, with a name that begins the same, is taken', async () => {
  await using world = await newWorld()
  await world.storages.put({ name: 'fast', path: world.path })
  await mkdir(`${world.path}-2`)
  expect((await world.storages.put({ name: 'slow', path: `${world.path}-2` })).problem).toBeUndefined()
})

test('storages that are told at once are all remembered', async () => {
  await using world = await newWorld()
  const names = Array.from({ length: 10 }, (_, index) => `storage-${index}`)
  await Promise.all(
    names.map(async (name) => {
      await mkdir(join(world.path, name))
      await world.storages.put({ name, path: join(world.path, name) })
    }),
  )
  const { usable, unusable } = await (await world.reopen()).survey()
  expect(usable.map(({ name }) => name).toSorted()).toEqual(names)
  expect(unusable).toEqual([])
})

test('an agent with a damaged list of storages says so', async () => {
  await using world = await newWorld()
  await writeFile(join(world.path, '..', 'state', 'storages.json'), '{')
  await expect(world.reopen()).rejects.toThrow(/storages\.json is damaged/)
})

test('a folder that guests cannot pass through is not used until they can', async () => {
  await using world = await newWorld({ hasOwnUsers: true })
  const closed = join(world.dir, 'closed')
  const path = join(closed, 'disks')
  await mkdir(path, { recursive: true })
  await Promise.all([world.dir, path].map((folder) => chmod(folder, 0o755)))
  await chmod(closed, 0o700)
  expect((await world.storages.put({ name: 'fast', path })).problem).toEqual({
    code: 'NotPassable',
    message: expect.stringContaining(`chmod o+x ${closed}, or`),
  })
  expect(await readdir(path)).toEqual([])
  await chmod(closed, 0o711)
  expect((await world.storages.put({ name: 'fast', path })).problem).toBeUndefined()
})

test('a folder with files of somebody else is not taken; what a file system has by itself does not count', async () => {
  await using world = await newWorld()
  await mkdir(join(world.path, 'lost+found'))
  await writeFile(join(world.path, 'passwd'), '')
  expect((await world.storages.put({ name: 'fast', path: world.path })).problem).toEqual({
    code: 'NotOurs',
    message: expect.stringMatching(/such as passwd: make an empty one/),
  })
  await rm(join(world.path, 'passwd'))
  expect((await world.storages.put({ name: 'fast', path: world.path })).problem).toBeUndefined()
  await writeFile(join(world.path, 'later'), '')
  expect((await (await world.reopen()).put({ name: 'fast', path: world.path })).problem).toBeUndefined()
})
