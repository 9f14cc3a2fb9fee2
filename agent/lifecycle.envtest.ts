import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { isMissing } from './durable-file.ts'
import { decidedAnew } from './machine/testing.ts'
import { eventually, newAgentWorld, seen } from './testing.ts'

const WAIT_MS = 30_000
const limit = { timeout: 120_000 }

test('Machine starts, runs as a user of its own, and starting it again changes nothing', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const machine = await world.newMachine(agent)
  const running = await agent.putMachine(machine, WAIT_MS)
  expect(running).toMatchObject({ id: machine.id, name: 'default/test', state: 'Running', restarts: 0 })
  expect(running).not.toHaveProperty('problem')
  expect(await world.pidsOf(machine.id)).toEqual([running.pid])

  const again = await agent.putMachine(machine, WAIT_MS)
  expect(again).toEqual(running)

  const second = await agent.putMachine(await world.newMachine(agent), WAIT_MS)
  const [uid, otherUid] = await Promise.all([uidOf(running.pid), uidOf(second.pid)])
  const own = process.getuid?.()
  expect([uid, otherUid].toSorted((a, b) => a - b)).toEqual(own === 0 ? [1_879_100_000, 1_879_100_001] : [own, own])
  expect((await stat(join(world.storagePath, 'disks', `${machine.disks[0]?.id}.qcow2`))).uid).toBe(uid)
})

test('Machine with nobody at home is killed when its grace period is over', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const machine = await world.newMachine(agent, { gracePeriodSeconds: 2 })
  const { pid } = await agent.putMachine(machine, WAIT_MS)
  const stop = decidedAnew(machine, { power: 'Stopped' })
  const stopping = await agent.putMachine(stop, 0)
  expect(stopping).toMatchObject({ power: 'Stopped', pid })
  await seen(agent, machine.id, ({ state }) => state === 'Stopping')
  const begunMs = performance.now()
  expect(await agent.putMachine(stop, WAIT_MS)).toMatchObject({ state: 'Stopped', restarts: 0, pendingRestart: [] })
  expect(performance.now() - begunMs).toBeGreaterThan(1000)
  expect(await world.pidsOf(machine.id)).toEqual([])

  const startedAgain = await agent.putMachine(decidedAnew(stop, { power: 'Running' }), WAIT_MS)
  expect(startedAgain.state).toBe('Running')
  expect(startedAgain.pid).not.toBe(pid)
})

test('Machine that is stopped and wanted again before it is off goes on', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const machine = await world.newMachine(agent, { gracePeriodSeconds: 600 })
  const { pid } = await agent.putMachine(machine, WAIT_MS)
  const stop = decidedAnew(machine, { power: 'Stopped' })
  await agent.putMachine(stop, 100)
  await seen(agent, machine.id, ({ state }) => state === 'Stopping')
  const wanted = await agent.putMachine(decidedAnew(stop, { power: 'Running' }), WAIT_MS)
  expect(wanted).toMatchObject({ state: 'Running', pid })
})

test('Machine that is to be absent leaves its disks, free, and nothing else', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const machine = await world.newMachine(agent)
  const [disk] = machine.disks
  if (!disk) throw new Error('unreachable')
  await agent.putMachine(machine, WAIT_MS)
  await expect(agent.deleteDisk('fast', disk.id)).rejects.toMatchObject({ code: 'DISK_IN_USE' })

  const absent = decidedAnew(machine, { power: 'Absent' })
  expect(await agent.putMachine(absent, WAIT_MS)).toMatchObject({ state: 'Absent' })
  expect(await agent.putMachine(absent, WAIT_MS)).toMatchObject({ state: 'Absent' })
  expect(await agent.machines()).toEqual([])
  expect(await world.pidsOf(machine.id)).toEqual([])
  const { serialLog, qemuLog, runDir } = world.pathsOf(machine.id)
  for (const path of [serialLog, qemuLog, runDir]) expect(await isThere(path)).toBe(false)

  expect((await stat(join(world.storagePath, 'disks', `${disk.id}.qcow2`))).uid).toBe(process.getuid?.())
  await agent.deleteDisk('fast', disk.id)
  expect(await isThere(join(world.storagePath, 'disks', `${disk.id}.qcow2`))).toBe(false)
  await expect(agent.putMachine(machine, 0)).rejects.toMatchObject({ code: 'STALE_EPOCH' })
})

test('Machine says which fields wait for a restart, and has them afterwards', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const machine = await world.newMachine(agent)
  const { pid } = await agent.putMachine(machine, WAIT_MS)
  const larger = { ...machine, cpus: 2, memoryBytes: 192 * 2 ** 20 }
  const pending = await agent.putMachine(larger, WAIT_MS)
  expect(pending).toMatchObject({ pid, state: 'Running', pendingRestart: ['cpus', 'memoryBytes'] })
  expect((await agent.putMachine(machine, WAIT_MS)).pendingRestart).toEqual([])

  const stop = decidedAnew(larger, { power: 'Stopped' })
  await agent.putMachine(stop, WAIT_MS)
  const restarted = await agent.putMachine(decidedAnew(stop, { power: 'Running' }), WAIT_MS)
  expect(restarted).toMatchObject({ state: 'Running', pendingRestart: [] })
  expect((await readFile(`/proc/${restarted.pid}/cmdline`, 'utf8')).split('\0')).toContain(`size=${192 * 2 ** 20}B`)
})

test('Machine with all the disks and cards that it may have starts', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const machines = await Promise.all(Array.from({ length: 17 }, () => world.newMachine(agent)))
  const [machine] = machines
  if (!machine) throw new Error('unreachable')
  const macs = Array.from({ length: 16 }, (_, index) => `52:54:00:00:00:${index.toString(16).padStart(2, '0')}`)
  const full = { ...machine, macs, cpus: 4, disks: machines.flatMap(({ disks }) => disks) }
  const running = await agent.putMachine(full, WAIT_MS)
  expect(running).toMatchObject({ state: 'Running' })
  expect(running).not.toHaveProperty('problem')
})

test('Machine is told of by events, each change once and newer ones with a higher revision', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const machine = await world.newMachine(agent)
  await agent.putMachine(machine, WAIT_MS)
  const end = new AbortController()
  const told: { state: string; revision: number }[] = []
  const types: string[] = []
  const listening = (async () => {
    for await (const event of agent.events(end.signal)) {
      types.push(event.type)
      if (event.type === 'Machine') told.push(event.machine)
    }
  })()
  await eventually('the first machine was told of', () => types.includes('Synced'))
  expect(types.slice(0, 2)).toEqual(['Machine', 'Synced'])
  await agent.putMachine(decidedAnew(machine, { power: 'Stopped' }), WAIT_MS)
  await eventually('the end was told of', () => told.at(-1)?.state === 'Stopped')
  await eventually('a beat was told of', () => types.includes('Beat'))
  end.abort()
  await listening
  const states = told.map(({ state }) => state).filter((state, index, all) => state !== all[index - 1])
  expect(states).toEqual(['Running', 'Stopping', 'Stopped'])
  const revisions = told.map(({ revision }) => revision)
  expect(revisions).toEqual([...new Set(revisions)].toSorted((a, b) => a - b))
})

async function uidOf(pid: number | undefined): Promise<number> {
  return Number(/^Uid:\t(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1])
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}
