import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readArchive, writeArchive } from './archive.ts'

const about = { createdAt: '2026-01-01T00:00:00.000Z', home: '/home/me' }
const LARGE = Buffer.alloc(300_000, 'state')

interface World extends AsyncDisposable {
  readonly file: string
  readonly target: string
}

async function archived(): Promise<World> {
  const root = await mkdtemp(join(tmpdir(), 'hf-archive-'))
  const [from, target, file] = [join(root, 'from'), join(root, 'to'), join(root, 'backup')]
  for (const folder of ['etcd/data/member', 'pki']) await mkdir(join(from, folder), { recursive: true })
  await mkdir(target)
  await writeFile(join(from, 'etcd/data/member/db'), LARGE)
  await writeFile(join(from, 'pki/ca.key'), 'key')
  await writeFile(join(from, 'port'), '')
  await writeArchive(file, from, ['etcd/data/member/db', 'pki/ca.key', 'port'], about)
  return { file, target, [Symbol.asyncDispose]: () => rm(root, { recursive: true }) }
}

describe('Backup', () => {
  test('gives back what went in, for its owner alone', async () => {
    await using world = await archived()
    expect((await stat(world.file)).mode % 0o1000).toBe(0o600)
    expect(await readArchive(world.file, world.target)).toMatchObject(about)
    expect(await readFile(join(world.target, 'etcd/data/member/db'))).toEqual(LARGE)
    expect(await readFile(join(world.target, 'pki/ca.key'), 'utf8')).toBe('key')
    expect((await stat(join(world.target, 'pki/ca.key'))).mode % 0o1000).toBe(0o600)
    expect(await readFile(join(world.target, 'port'), 'utf8')).toBe('')
  })

  test('takes the place of no other file, and leaves nothing half written', async () => {
    await using world = await archived()
    const before = await readFile(world.file)
    await writeFile(join(world.target, 'port'), '1')
    await expect(writeArchive(world.file, world.target, ['port'], about)).rejects.toMatchObject({
      code: 'USAGE',
      message: `${world.file} exists already: name another file`,
    })
    expect(await readFile(world.file)).toEqual(before)
    expect((await readdir(join(world.file, '..'))).toSorted()).toEqual(['backup', 'from', 'to'])
  })

  test('is refused with any of its bytes changed', async () => {
    await using world = await archived()
    const whole = await readFile(world.file)
    const positions = Array.from({ length: 20 }, (_, i) => Math.floor((i * (whole.length - 1)) / 19))
    for (const at of positions) {
      const broken = Buffer.from(whole)
      broken[at] = (broken[at] ?? 0) ^ 0x01
      await expect(tryRead(world, broken), `byte ${at}`).rejects.toMatchObject({ code: 'BACKUP_UNUSABLE' })
    }
  })

  test('is refused when its end is missing', async () => {
    await using world = await archived()
    const whole = await readFile(world.file)
    for (const length of [0, 10, 85, 120, whole.length - 1]) {
      await expect(tryRead(world, whole.subarray(0, length)), `${length} bytes`).rejects.toMatchObject({
        code: 'BACKUP_UNUSABLE',
      })
    }
  })

  test.each([
    [
      'another file',
      'PK\u0003\u0004 something else that is long enough to hold a digest, and then some more of it',
      'is no backup',
    ],
    [
      'one of a later format',
      `holdfast-backup 2\n${'0'.repeat(64)}\n`,
      'is a backup of format 2, and this version reads 1',
    ],
  ])('%s is refused with a sentence', async (_, text, message) => {
    await using world = await archived()
    await expect(tryRead(world, Buffer.from(text, 'latin1'))).rejects.toThrow(message)
  })

  test.each(['../outside', 'storage/disks/a.qcow2', 'pki/../../outside', 'pki/.hidden', '/etc/passwd'])(
    'holds no file that does not belong into one: %s',
    async (path) => {
      await using world = await archived()
      await mkdir(join(world.target, 'storage/disks'), { recursive: true })
      const other = join(world.target, 'other')
      await expect(writeArchive(other, world.target, [path], about)).rejects.toThrow(/path|ENOENT/)
      expect(await readdir(world.target)).not.toContain('other')
    },
  )
})

async function tryRead({ file, target }: World, bytes: Buffer): Promise<unknown> {
  await rm(target, { recursive: true })
  await mkdir(target)
  await writeFile(file, bytes)
  return readArchive(file, target)
}
