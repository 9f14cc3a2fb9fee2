import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { homeAt, restoredFile, restoreMark, type Home } from '../home.ts'
import { runPlatform } from '../platform/run.ts'
import { backup } from './backup.ts'
import { restore } from './restore.ts'

interface World extends AsyncDisposable {
  readonly home: Home
  readonly file: string
  /** What was printed. */
  readonly said: string[]
  readonly terminal: Parameters<typeof backup>[2]
  put(path: string, text: string): Promise<void>
  read(path: string): Promise<string>
}

/** The folder of a platform that does not run, with a backup of it. */
async function newWorld(): Promise<World> {
  const root = await mkdtemp(join(tmpdir(), 'hf-restore-'))
  await chmod(root, 0o711)
  const home = homeAt(join(root, 'home'), {})
  const said: string[] = []
  const print = (text: string) => void said.push(text)
  const put = async (path: string, text: string) => {
    await mkdir(join(home.root, path, '..'), { recursive: true, mode: 0o711 })
    await writeFile(join(home.root, path), text)
  }
  const world: World = {
    home,
    file: join(root, 'monday'),
    said,
    terminal: { print, say: print, keep: () => undefined },
    put,
    read: (path) => readFile(join(home.root, path), 'utf8'),
    [Symbol.asyncDispose]: () => rm(root, { recursive: true }),
  }
  for (const [path, text] of Object.entries(files)) await put(path, text)
  await backup(home, world.file, world.terminal)
  for (const path of Object.keys(files)) await put(path, 'of today')
  return world
}

const state = {
  'etcd/data/member/snap/db': 'of monday',
  'etcd/data/member/wal/0.wal': 'of monday',
  'pki/kubernetes/encryption.json': 'of monday',
  port: '16443',
}
const files = { ...state, 'agent/machines/a.json': 'of monday', 'storage/disks/a.qcow2': 'of monday' }

describe('Restore', () => {
  test('puts back state and keys, leaves what agents and disks hold, and sets aside what it replaces', async () => {
    await using world = await newWorld()
    await world.put('restore-draft-killed/pki/kubernetes/encryption.json', 'of a restore that was killed')
    await restore(world.home, world.file, world.terminal)
    for (const [path, text] of Object.entries(state)) expect(await world.read(path)).toBe(text)
    expect(await world.read('agent/machines/a.json')).toBe('of today')
    expect(await world.read('storage/disks/a.qcow2')).toBe('of today')
    const aside = (await readdir(world.home.root)).filter((name) => name.startsWith('before-restore-'))
    expect(aside).toHaveLength(1)
    expect(await world.read(`${aside[0]}/etcd/data/member/snap/db`)).toBe('of today')
    expect((await readdir(world.home.root)).filter((name) => /^(restore|backup)-/.test(name))).toEqual([])
    expect((await stat(join(world.home.root, 'pki/kubernetes/encryption.json'))).mode % 0o1000).toBe(0o600)
    expect(world.said.at(-1)).toContain('npm start -- --detach')
  })

  test('touches nothing when the backup is damaged', async () => {
    await using world = await newWorld()
    const bytes = await readFile(world.file)
    await writeFile(world.file, bytes.subarray(0, bytes.length - 20))
    await expect(restore(world.home, world.file, world.terminal)).rejects.toMatchObject({
      code: 'BACKUP_UNUSABLE',
      message: `${world.file} is damaged: use another backup`,
    })
    for (const path of Object.keys(files)) expect(await world.read(path)).toBe('of today')
    const left = (await readdir(world.home.root)).filter((name) => name.includes('restore'))
    expect(left).toEqual([])
  })

  test('that was cut off is ended by the same restore', async () => {
    await using world = await newWorld()
    await writeFile(restoreMark(world.home), '')
    await rm(join(world.home.root, 'pki'), { recursive: true })
    await restore(world.home, world.file, world.terminal)
    expect(await world.read('pki/kubernetes/encryption.json')).toBe('of monday')
    await expect(stat(restoreMark(world.home))).rejects.toMatchObject({ code: 'ENOENT' })
    expect(Math.abs(Date.parse(await readFile(restoredFile(world.home), 'utf8')) - Date.now())).toBeLessThan(60_000)
  })

  test('that was cut off lets nothing start', async () => {
    await using world = await newWorld()
    await writeFile(restoreMark(world.home), '')
    const never = new AbortController().signal
    const options = {
      port: undefined,
      agentPort: undefined,
      kubeconfig: undefined,
      controllers: 1,
      simulated: undefined,
    }
    const starting = runPlatform(
      { home: world.home, env: {}, ...options },
      { say: () => undefined, ready: () => Promise.resolve(), stop: never, hurry: never, keepsGuests: () => false },
    )
    await expect(starting).rejects.toThrow('a restore of')
  })

  test('into another folder says where the backup is from', async () => {
    await using world = await newWorld()
    const other = homeAt(join(world.home.root, '..', 'other'), {})
    await restore(other, world.file, world.terminal)
    expect(await readFile(join(other.root, 'etcd/data/member/snap/db'), 'utf8')).toBe('of monday')
    expect(world.said.at(-1)).toContain(`The backup is of ${world.home.root}`)
  })
})

describe('Backup', () => {
  test('of a folder without state is refused', async () => {
    await using world = await newWorld()
    await rm(join(world.home.root, 'etcd'), { recursive: true })
    await expect(backup(world.home, `${world.file}-2`, world.terminal)).rejects.toMatchObject({
      code: 'HOME_UNUSABLE',
      message: expect.stringMatching(/^there is no state in .*: start the platform first/),
    })
  })

  test('takes no place of another file', async () => {
    await using world = await newWorld()
    await expect(backup(world.home, world.file, world.terminal)).rejects.toThrow('exists already: name another file')
  })

  test('that was cut off is not backed up: what is there is half of each', async () => {
    await using world = await newWorld()
    await writeFile(restoreMark(world.home), '')
    await expect(backup(world.home, `${world.file}-2`, world.terminal)).rejects.toMatchObject({
      code: 'HOME_UNUSABLE',
      message: expect.stringContaining('was cut off'),
    })
  })
})
