import { randomUUID } from 'node:crypto'
import { chown, mkdir, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { connectAgent } from './client.ts'
import { decidedAnew } from './machine/testing.ts'
import { addressOf, newAgentWorld, seen } from './testing.ts'

const WAIT_MS = 30_000
const limit = { timeout: 120_000 }

test('Order that is older than the one held is refused, with the one held', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const old = await world.newMachine(agent)
  const machine = decidedAnew(old, {})
  await agent.putMachine(machine, WAIT_MS)
  const { id, epoch } = machine.decision
  const refusal = { code: 'STALE_EPOCH', details: { machineId: machine.id, decision: { id, epoch } } }
  await expect(agent.putMachine(old, WAIT_MS)).rejects.toMatchObject(refusal)
  const rival = { ...machine, decision: { ...machine.decision, id: randomUUID() } }
  await expect(agent.putMachine(rival, WAIT_MS)).rejects.toMatchObject(refusal)
  await expect(agent.putMachine({ ...old, power: 'Absent' }, WAIT_MS)).rejects.toMatchObject(refusal)
  expect(await agent.machines()).toMatchObject([{ state: 'Running', decision: { id, epoch } }])
})

test('Machine that claims a disk in use is refused, and starts once that is free', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const holder = await world.newMachine(agent)
  const running = await agent.putMachine(holder, WAIT_MS)
  const other = { ...(await world.newMachine(agent)), disks: holder.disks }
  const { id, epoch } = holder.decision
  await expect(agent.putMachine(other, WAIT_MS)).rejects.toMatchObject({
    code: 'DISK_CLAIMED',
    details: { machineId: holder.id, decision: { id, epoch } },
  })
  const refused = await seen(agent, other.id, ({ problem }) => problem !== undefined)
  expect(refused).toMatchObject({ state: 'Stopped', problem: { code: 'DISK_CLAIMED' } })
  expect(await agent.machines()).toContainEqual(running)

  await agent.putMachine(decidedAnew(holder, { power: 'Absent' }), WAIT_MS)
  const started = await agent.putMachine(other, WAIT_MS)
  expect(started.state).toBe('Running')
  expect(started).not.toHaveProperty('problem')
})

test(
  'Machine does not start under a decision that does not follow the one that its disk is held by',
  limit,
  async () => {
    await using world = await newAgentWorld()
    const { agent } = await world.start()
    const machine = await world.newMachine(agent)
    await agent.putMachine(machine, WAIT_MS)
    const stop = decidedAnew(machine, { power: 'Stopped' })
    await agent.putMachine(stop, WAIT_MS)
    const restored = { ...machine, decision: { id: randomUUID(), epoch: 9, follows: [] } }
    await expect(agent.putMachine(restored, WAIT_MS)).rejects.toMatchObject({ code: 'DISK_CLAIMED' })
    expect(await world.pidsOf(machine.id)).toEqual([])
  },
)

test('Machine that gives a disk away frees it when it is off', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const [machine, second] = [await world.newMachine(agent), await world.newMachine(agent)]
  const both = { ...machine, disks: [...machine.disks, ...second.disks] }
  await agent.putMachine(both, WAIT_MS)
  // There is no guest that could let go of it.
  const [given] = second.disks
  const pending = await agent.putMachine({ ...machine, detach: given ? [given.id] : [] }, 500)
  expect(pending.pendingDisks).toMatchObject([{ id: given?.id, action: 'Detach' }])
  await expect(agent.putMachine(second, WAIT_MS)).rejects.toMatchObject({ code: 'DISK_CLAIMED' })
  await agent.putMachine(decidedAnew(machine, { power: 'Stopped' }), WAIT_MS)
  expect(await agent.putMachine(second, WAIT_MS)).toMatchObject({ state: 'Running' })
})

test('Machine whose disk is missing, or whose type QEMU does not know, says so', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const machine = await world.newMachine(agent)
  const missing = { ...machine, disks: [{ id: randomUUID(), storage: 'fast' }] }
  await expect(agent.putMachine(missing, WAIT_MS)).rejects.toMatchObject({ code: 'DISK_NOT_FOUND' })
  const unknown = { ...machine, id: randomUUID(), machineType: 'pc-q35-99.9' }
  await expect(agent.putMachine(unknown, WAIT_MS)).rejects.toMatchObject({ code: 'QEMU_UNAVAILABLE' })
  expect(await agent.putMachine(decidedAnew(unknown, { power: 'Absent' }), WAIT_MS)).toMatchObject({ state: 'Absent' })
})

test('Machine that QEMU ends at once says why, and is tried again', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const machine = await world.newMachine(agent, { memoryBytes: 2 ** 50, restart: 'Never' })
  const failed = await agent.putMachine(machine, WAIT_MS)
  expect(failed).toMatchObject({ state: 'Stopped', problem: { code: 'StartFailed' } })
  expect(failed.problem?.message).toMatch(/memory/i)
  expect(failed.problem?.message).not.toContain(world.dir)
  await seen(agent, machine.id, ({ restarts }) => restarts > 0)
  const smaller = await agent.putMachine(decidedAnew(machine, { memoryBytes: 2 ** 27 }), WAIT_MS)
  expect(smaller).toMatchObject({ state: 'Running', restarts: 0 })
  expect(smaller).not.toHaveProperty('problem')
})

test('Machine starts in a run folder that another user of it left behind', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const machine = await world.newMachine(agent)
  const { runDir, pidFile } = world.pathsOf(machine.id)
  await mkdir(runDir, { mode: 0o700 })
  await writeFile(pidFile, '1\n', { mode: 0o600 })
  if (process.getuid?.() === 0) for (const path of [runDir, pidFile]) await chown(path, 1_879_100_077, 1_879_100_077)
  expect(await agent.putMachine(machine, WAIT_MS)).toMatchObject({ state: 'Running' })
})

test('Host without QEMU says so, takes orders, and carries them out once it has one', limit, async () => {
  await using world = await newAgentWorld()
  const first = await world.start({ HOLDFAST_AGENT_QEMU: '/nonexistent' })
  const host = await first.agent.host()
  expect(host).toMatchObject({ name: 'host-1', problem: { code: 'QemuMissing' } })
  expect(host.problem?.message).toContain('apt-get install qemu-system-x86')
  expect(host).not.toHaveProperty('qemuVersion')
  const machine = await world.newMachine(first.agent)
  await expect(first.agent.putMachine(machine, WAIT_MS)).rejects.toMatchObject({ code: 'QEMU_UNAVAILABLE' })
  const off = await world.newMachine(first.agent, { power: 'Stopped' })
  expect(await first.agent.putMachine(off, WAIT_MS)).toMatchObject({ state: 'Stopped' })
  await first.end('SIGTERM')

  const second = await world.start()
  expect(await second.agent.host()).toMatchObject({ qemuVersion: expect.stringMatching(/^\d+\.\d+/) })
  await seen(second.agent, machine.id, ({ state }) => state === 'Running')
})

test('Caller is refused without a certificate that may give orders', limit, async () => {
  await using world = await newAgentWorld()
  const { port } = await world.start()
  await using stranger = connectAgent(await addressOf(world.authority, port, 'somebody'))
  await expect(stranger.host()).rejects.toMatchObject({ code: 'BAD_REQUEST', message: /may not give orders/ })
  await using mistaken = connectAgent({ ...(await addressOf(world.authority, port)), hostName: 'host-2' })
  await expect(mistaken.host()).rejects.toMatchObject({ code: 'UNREACHABLE' })
})

test('Agent that is killed is unreachable to its callers, and to those who listen', limit, async () => {
  await using world = await newAgentWorld()
  const { agent, ...first } = await world.start()
  const events = agent.events(new AbortController().signal)[Symbol.asyncIterator]()
  expect(await events.next()).toMatchObject({ value: { type: 'Synced' } })
  const [next] = await Promise.allSettled([events.next(), first.end('SIGKILL')])
  expect(next).toMatchObject({ reason: { code: 'UNREACHABLE' } })
  await expect(agent.machines()).rejects.toMatchObject({ code: 'UNREACHABLE' })
})

test('Agent whose port is taken says which variable to set, and touches no guest', limit, async () => {
  await using world = await newAgentWorld()
  await using other = await newAgentWorld()
  const { port } = await other.start()
  const taken = world.start({ HOLDFAST_AGENT_PORT: String(port) })
  await expect(taken).rejects.toThrow(`127.0.0.1 port ${port} is taken`)
})
