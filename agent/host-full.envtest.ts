import { randomUUID } from 'node:crypto'
import { mkdir, open, readdir, readFile, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { silentLog } from '../lib/log.ts'
import { isFullDisk } from './durable-file.ts'
import { machineRecord } from './machine/record.ts'
import { decidedAnew } from './machine/testing.ts'
import { openReserve } from './reserve.ts'
import { run } from './run.ts'
import { eventually, newAgentWorld, seen, type AgentProcess, type AgentWorld } from './testing.ts'

const WAIT_MS = 30_000
const limit = { timeout: 120_000 }

const tried = await run('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'none', '/mnt'])
const canMount = tried.code === 0
if (!canMount) process.stderr.write('skipped: only root can mount a file system that is small enough to be filled\n')

interface Small extends AsyncDisposable {
  /** Takes all that is left. */
  fill(): Promise<void>
  free(): Promise<void>
}

/** Puts a folder on a file system of its own, which can be filled. */
async function mountSmall(path: string, options: string): Promise<Small> {
  await mkdir(path, { recursive: true })
  const mounted = await run('mount', ['-t', 'tmpfs', '-o', `mode=755,${options}`, 'holdfast-test', path])
  expect(mounted).toMatchObject({ code: 0 })
  const others = join(path, 'others')
  await mkdir(others)
  return {
    fill: () => fill(others),
    free: async () => {
      await rm(others, { recursive: true })
      await mkdir(others)
    },
    // Guests have their logs open: it goes with the last of them.
    [Symbol.asyncDispose]: async () => void (await run('umount', ['--lazy', path])),
  }
}

/** Every byte, and of inodes as many as a small file system has. */
async function fill(folder: string): Promise<void> {
  const round = randomUUID()
  for (let number = 0; number < 100; number += 1) {
    try {
      await using file = await open(join(folder, `${round}-${number}`), 'wx')
      await writeAll(file)
    } catch (error) {
      if (!isFullDisk(error)) throw error
      return
    }
  }
}

async function writeAll(file: FileHandle): Promise<void> {
  const chunk = Buffer.alloc(4096)
  try {
    for (;;) await file.write(chunk)
  } catch (error) {
    if (!isFullDisk(error)) throw error
  }
}

/** Files of machines, each of which must be a whole record, and nothing besides. */
async function recordsOf({ dir }: AgentWorld) {
  const folder = join(dir, 'state', 'machines')
  const files = await readdir(folder)
  return Promise.all(
    files.map(async (file) => machineRecord.parse(JSON.parse(await readFile(join(folder, file), 'utf8')))),
  )
}

async function running(world: AgentWorld, { agent }: AgentProcess) {
  const machine = await world.newMachine(agent, { gracePeriodSeconds: 0 })
  const { pid } = await agent.putMachine(machine, WAIT_MS)
  return { machine, pid }
}

test.skipIf(!canMount).each([
  ['space', 'size=4m'],
  ['inodes', 'size=64m,nr_inodes=80'],
])(
  'Agent whose own state has no %s left keeps its guests, and stops and forgets them',
  limit,
  async (_what, options) => {
    await using world = await newAgentWorld()
    await using small = await mountSmall(join(world.dir, 'state'), options)
    const first = await world.start()
    const kept = await running(world, first)
    const gone = await running(world, first)
    const fresh = await world.newMachine(first.agent)
    await small.fill()

    await expect(first.agent.putMachine(fresh, WAIT_MS)).rejects.toMatchObject({ code: 'NO_SPACE' })
    expect(await world.pidsOf(fresh.id)).toEqual([])
    expect((await first.agent.machines()).map(({ id }) => id)).not.toContain(fresh.id)
    const { agent } = first
    const paused = decidedAnew(kept.machine, { paused: true })
    expect(await agent.putMachine(paused, WAIT_MS)).toMatchObject({ state: 'Paused', pid: kept.pid })
    const stopped = decidedAnew(gone.machine, { power: 'Stopped' })
    expect(await agent.putMachine(stopped, WAIT_MS)).toMatchObject({ state: 'Stopped' })

    await first.end('SIGKILL')
    const second = await world.start({}, 2)
    expect((await second.agent.host()).stateProblem).toMatchObject({ code: 'StateFull' })
    expect(await seen(second.agent, kept.machine.id, ({ state }) => state === 'Paused')).toMatchObject({
      pid: kept.pid,
    })
    const absent = decidedAnew(stopped, { power: 'Absent' })
    expect(await second.agent.putMachine(absent, WAIT_MS)).toMatchObject({ state: 'Absent' })
    await second.agent.deleteDisk('fast', gone.machine.disks[0]?.id ?? randomUUID())
    // It never came to the host, and is forgotten all the same.
    const never = decidedAnew(fresh, { power: 'Absent' })
    expect(await second.agent.putMachine(never, WAIT_MS)).toMatchObject({ state: 'Absent' })
    const ids = (await recordsOf(world)).map(({ desired }) => desired.id)
    expect(ids.toSorted()).toEqual([kept, gone, { machine: fresh }].map(({ machine }) => machine.id).toSorted())

    await small.free()
    const again = { ...fresh, decision: { ...never.decision, id: randomUUID(), epoch: 3 } }
    expect(await second.agent.putMachine(again, WAIT_MS)).toMatchObject({ state: 'Running' })
    expect(await world.pidsOf(kept.machine.id)).toEqual([kept.pid])
    await eventually('the host is well', async () => (await second.agent.host()).stateProblem === undefined)
  },
)

test.skipIf(!canMount)(
  'Reserve stores sixteen files while others take every byte that becomes free, and is whole again after',
  async () => {
    await using world = await newAgentWorld()
    await using small = await mountSmall(join(world.dir, 'small'), 'size=4m')
    const path = (name: string) => join(world.dir, 'small', name)
    const reserve = await openReserve(path('reserve'), silentLog)
    expect(reserve.isWhole).toBe(true)
    await small.fill()
    const texts = Array.from({ length: 16 }, (_, index) => `${index}`.repeat(5000 + index))
    for (const [index, text] of texts.entries()) {
      await reserve.write(path(`file-${index}`), text)
      await small.fill()
    }
    expect(await Promise.all(texts.map((_, index) => readFile(path(`file-${index}`), 'utf8')))).toEqual(texts)
    expect(reserve.isWhole).toBe(false)
    await expect(reserve.write(path('file-0'), 'one more')).rejects.toMatchObject({ code: 'ENOSPC' })
    expect(await readFile(path('file-0'), 'utf8')).toBe(texts[0])
    await small.free()
    await reserve.write(path('file-0'), 'one more')
    expect(await readFile(path('file-0'), 'utf8')).toBe('one more')
    expect(reserve.isWhole).toBe(true)
    expect((await readdir(path('.'))).filter((name) => name.endsWith('.tmp'))).toEqual([])
  },
)

const problems = {
  none: undefined,
  full: { code: 'NO_SPACE', message: expect.stringContaining('free some space, and it goes on by itself') },
}

test.skipIf(!canMount).each([
  ['serial logs', 'state/serial', 'size=64k', 'none'],
  ['messages of QEMU', 'state/logs', 'size=64k,nr_inodes=12', 'full'],
  ['sockets', 'run', 'size=64m,nr_inodes=40', 'full'],
  ['process numbers', 'run', 'size=64k', 'full'],
] as const)('Guest goes on when the folder of %s is full, and one that cannot start says so', limit, async (...row) => {
  const [, name, options, problem] = row
  await using world = await newAgentWorld()
  await using small = await mountSmall(join(world.dir, name), options)
  const first = await world.start()
  const { machine, pid } = await running(world, first)
  const fresh = await world.newMachine(first.agent)
  await small.fill()
  expect((await first.agent.putMachine(fresh, WAIT_MS)).problem).toEqual(problems[problem])
  expect(await first.agent.putMachine(machine, WAIT_MS)).toMatchObject({ state: 'Running', pid })
  await first.end('SIGKILL')
  const { agent } = await world.start()
  await seen(agent, machine.id, (observed) => observed.state === 'Running' && observed.pid === pid)
  await small.free()
  await seen(agent, fresh.id, ({ state, problem: left }) => state === 'Running' && left === undefined)
  expect(await world.pidsOf(fresh.id)).toHaveLength(1)
})
