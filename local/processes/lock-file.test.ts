import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { tryLock, type Lock } from './lock-file.ts'
import { identify } from '../../lib/process-identity.ts'
import { deadProcess, startScript } from './testing.ts'

let folder: string
let path: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lock-'))
  path = join(folder, 'lock')
})
afterEach(() => rm(folder, { recursive: true }))

async function take(): Promise<Lock> {
  const outcome = await tryLock(path)
  if (!('lock' in outcome)) throw new Error(`process ${outcome.holder.pid} has it`)
  return outcome.lock
}

test('a lock is held until it is released, and leaves nothing behind', async () => {
  const lock = await take()
  expect(await tryLock(path)).toEqual({ holder: await identify(process.pid) })
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  await lock.release()
  expect(await readdir(folder)).toEqual([])
  await (await take()).release()
})

test('a lock that another process holds is left alone', async () => {
  const { child, identity } = await startScript('echo; exec sleep 60')
  try {
    await writeFile(path, JSON.stringify(identity))
    expect(await tryLock(path)).toEqual({ holder: identity })
  } finally {
    child.kill('SIGKILL')
  }
})

test.each([
  ['was killed', async () => JSON.stringify(await deadProcess())],
  ['has a number that another process has now', async () => JSON.stringify({ ...(await own()), startTime: '1' })],
  ['ran before the machine was started', async () => JSON.stringify({ ...(await own()), bootId: 'before' })],
  ['is not named, because the machine crashed', async () => '{"pid":'],
  ['is nobody', async () => ''],
])('a lock whose holder %s is free', async (_name, content) => {
  await writeFile(path, await content())
  const lock = await take()
  expect(JSON.parse(await readFile(path, 'utf8'))).toEqual(await own())
  await lock.release()
  expect(await readdir(folder)).toEqual([])
})

test('a lock that somebody else has meanwhile is not released', async () => {
  const lock = await take()
  await writeFile(path, 'theirs')
  await lock.release()
  expect(await readFile(path, 'utf8')).toBe('theirs')
})

test('of many who want a lock at once one gets it, also when it was left behind', async () => {
  const dead = JSON.stringify(await deadProcess())
  for (let round = 0; round < 3; round++) {
    await writeFile(path, dead)
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => tryLock(path)))
    const locks = outcomes.flatMap((outcome) => ('lock' in outcome ? [outcome.lock] : []))
    expect(locks).toHaveLength(1)
    for (const lock of locks) await lock.release()
  }
  expect(await readdir(folder)).toEqual([])
})

async function own() {
  return identify(process.pid)
}
