import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, readdir, readFile, rm, stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { decidedAnew } from './machine/testing.ts'
import { eventually, killPid, newAgentWorld, seen } from './testing.ts'

const WAIT_MS = 30_000
const MIB = 2 ** 20
const limit = { timeout: 120_000 }

test('Agent that was killed is followed by one that has the same guest Running within 10 s', limit, async () => {
  await using world = await newAgentWorld()
  const first = await world.start()
  const machine = await world.newMachine(first.agent)
  const before = await first.agent.putMachine(machine, WAIT_MS)
  await first.end('SIGKILL')
  expect(await world.pidsOf(machine.id)).toEqual([before.pid])

  const begunMs = performance.now()
  const second = await world.start()
  const after = await seen(second.agent, machine.id, ({ state }) => state === 'Running')
  expect(performance.now() - begunMs).toBeLessThan(10_000)
  expect(after).toMatchObject({ pid: before.pid, restarts: 0, pendingRestart: [] })
  expect(after.revision).toBeGreaterThan(before.revision)
  expect(await second.agent.putMachine(machine, WAIT_MS)).toMatchObject({ pid: before.pid, state: 'Running' })

  const stop = decidedAnew(machine, { power: 'Stopped' })
  expect(await second.agent.putMachine(stop, WAIT_MS)).toMatchObject({ state: 'Stopped' })
  expect(await world.pidsOf(machine.id)).toEqual([])
})

test.each([5, 20, 40, 60, 100])(
  'Agent that is killed %d ms after an order leaves one guest or none, and the next agent makes it one',
  limit,
  async (afterMs) => {
    await using world = await newAgentWorld()
    const first = await world.start()
    const machine = await world.newMachine(first.agent, { restart: 'Never' })
    const [, order] = await Promise.allSettled([
      sleep(afterMs).then(() => first.end('SIGKILL')),
      first.agent.putMachine(machine, WAIT_MS),
    ])
    const { agent } = await world.start()
    // A caller that got no answer sends the order again.
    if (order.status === 'rejected') await agent.putMachine(machine, WAIT_MS)
    const running = await seen(agent, machine.id, ({ state }) => state === 'Running')
    expect(running).not.toHaveProperty('problem')
    expect(await world.pidsOf(machine.id)).toEqual([running.pid])
  },
)

test('Agent that ends when it is told to leaves its guests running', limit, async () => {
  await using world = await newAgentWorld()
  const first = await world.start()
  const machine = await world.newMachine(first.agent)
  const { pid } = await first.agent.putMachine(machine, WAIT_MS)
  expect(await first.end('SIGTERM')).toBe(0)
  expect(await world.pidsOf(machine.id)).toEqual([pid])
  const second = await world.start()
  await seen(second.agent, machine.id, (observed) => observed.state === 'Running' && observed.pid === pid)
})

test('Agent is the only one on its state folder', limit, async () => {
  await using world = await newAgentWorld()
  const first = await world.start()
  const { agent, pid } = first
  const machine = await world.newMachine(agent)
  await agent.putMachine(machine, WAIT_MS)
  await expect(world.start()).rejects.toThrow(`is used by another agent (process ${pid}); stop that one first`)
  expect(await agent.machines()).toMatchObject([{ id: machine.id, state: 'Running' }])
  await first.end('SIGKILL')
  await world.start()
})

test('Machine that was killed is started again under Always, after longer and longer', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const machine = await world.newMachine(agent)
  let pid = (await agent.putMachine(machine, WAIT_MS)).pid
  for (const restarts of [1, 2]) {
    const killedMs = Date.now()
    await killPid(pid)
    const waiting = await seen(agent, machine.id, ({ retryAt }) => retryAt !== undefined)
    expect(waiting).toMatchObject({ state: 'Stopped', problem: { code: 'Crashed' } })
    expect(Date.parse(waiting.retryAt ?? '') - killedMs).toBeGreaterThanOrEqual(restarts * 1000)
    const running = await seen(agent, machine.id, ({ state }) => state === 'Running')
    expect(running.restarts).toBe(restarts)
    expect(running).not.toHaveProperty('retryAt')
    expect(running.pid).not.toBe(pid)
    pid = running.pid
  }
  const anew = await agent.putMachine(decidedAnew(machine, {}), WAIT_MS)
  expect(anew).toMatchObject({ state: 'Running', restarts: 0, pid })
})

test('Machine that was killed is left off under Never, and starts when that is decided anew', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const machine = await world.newMachine(agent, { restart: 'Never' })
  await killPid((await agent.putMachine(machine, WAIT_MS)).pid)
  const ended = await seen(agent, machine.id, ({ state }) => state === 'Stopped')
  expect(ended).toMatchObject({ problem: { code: 'Crashed' }, restarts: 0 })
  expect(await agent.putMachine(machine, WAIT_MS)).toMatchObject({ state: 'Stopped', problem: { code: 'Crashed' } })
  const anew = await agent.putMachine(decidedAnew(machine, {}), WAIT_MS)
  expect(anew).toMatchObject({ state: 'Running' })
  expect(anew).not.toHaveProperty('problem')
})

test('Machine that was killed while no agent was there is a crash to the next one', limit, async () => {
  await using world = await newAgentWorld()
  const first = await world.start()
  const never = await world.newMachine(first.agent, { restart: 'Never' })
  const always = await world.newMachine(first.agent)
  const pids = [await first.agent.putMachine(never, WAIT_MS), await first.agent.putMachine(always, WAIT_MS)]
  for (const { id } of [never, always]) {
    const path = `${world.dir}/state/machines/${id}.json`
    await eventually('it is noted that it ran', async () => (await readFile(path, 'utf8')).includes('"confirmed":true'))
  }
  await first.end('SIGKILL')
  for (const { pid } of pids) await killPid(pid)
  const second = await world.start()
  await seen(second.agent, never.id, ({ state, problem }) => state === 'Stopped' && problem?.code === 'Crashed')
  const again = await seen(second.agent, always.id, ({ state }) => state === 'Running')
  expect(again.restarts).toBe(1)
  expect(await readdir(`${world.dir}/run`)).toEqual([always.id])
  await killPid(again.pid)
  await seen(second.agent, always.id, ({ restarts }) => restarts === 2)
  const stop = decidedAnew(always, { power: 'Stopped' })
  expect(await second.agent.putMachine(stop, WAIT_MS)).toMatchObject({ state: 'Stopped' })
  expect(await readdir(`${world.dir}/run`)).toEqual([])
})

test('Guests that are stopped with their host start again with its agent', limit, async () => {
  await using world = await newAgentWorld()
  const first = await world.start()
  const machine = await world.newMachine(first.agent)
  const off = await world.newMachine(first.agent, { power: 'Stopped' })
  await first.agent.putMachine(machine, WAIT_MS)
  await first.agent.putMachine(off, WAIT_MS)
  await first.agent.stopGuests()
  expect(await world.pidsOf(machine.id)).toEqual([])
  const held = await first.agent.putMachine(machine, WAIT_MS)
  expect(held).toMatchObject({ state: 'Stopped', power: 'Running', problem: { code: 'HostStopping' } })
  await first.agent.stopGuests()
  await first.end('SIGTERM')

  const second = await world.start()
  expect(await seen(second.agent, machine.id, ({ state }) => state === 'Running')).toMatchObject({ restarts: 0 })
  expect(await seen(second.agent, off.id, ({ state }) => state === 'Stopped')).not.toHaveProperty('problem')
})

test('Guest is neither started again nor forgotten when the next agent has another run folder', limit, async () => {
  await using world = await newAgentWorld()
  const first = await world.start()
  const machine = await world.newMachine(first.agent, { gracePeriodSeconds: 0 })
  const { pid } = await first.agent.putMachine(machine, WAIT_MS)
  const path = `${world.dir}/state/machines/${machine.id}.json`
  await eventually('its process is noted', async () => (await readFile(path, 'utf8')).includes(`"pid":${pid}`))
  await first.end('SIGKILL')
  const elsewhere = { HOLDFAST_AGENT_RUN_DIR: `${world.dir}/elsewhere` }
  const second = await world.start(elsewhere)
  const found = await seen(second.agent, machine.id, ({ problem }) => problem?.code === 'StillRunning')
  expect(found).toMatchObject({ state: 'Running', pid })
  await second.end('SIGKILL')

  await rm(`${world.dir}/run`, { recursive: true })
  const { agent } = await world.start(elsewhere)
  const silent = await seen(agent, machine.id, ({ problem }) => problem?.code === 'MonitorSilent')
  expect(silent).toMatchObject({ state: 'Running', pid })
  const stopped = await agent.putMachine(decidedAnew(machine, { power: 'Stopped' }), WAIT_MS)
  expect(stopped).toMatchObject({ state: 'Stopped' })
  expect(await world.pidsOf(machine.id)).toEqual([])
})

test('Guest whose record is lost runs on, and is adopted by the next order', limit, async () => {
  await using world = await newAgentWorld()
  const first = await world.start()
  const machine = await world.newMachine(first.agent)
  const { pid } = await first.agent.putMachine(machine, WAIT_MS)
  await first.end('SIGKILL')
  await appendFile(`${world.dir}/state/machines/${machine.id}.json`, 'torn')
  const second = await world.start()
  const told = await seen(second.agent, machine.id, ({ problem }) => problem?.code === 'OrderMissing')
  expect(told).toMatchObject({ state: 'Running', pid })
  expect(await world.pidsOf(machine.id)).toEqual([pid])
  expect(await second.agent.putMachine(machine, WAIT_MS)).toMatchObject({ state: 'Running', pid })
})

const isRoot = process.getuid?.() === 0

test.skipIf(!isRoot)('Process of another user is taken for no guest, whatever it says of itself', limit, async () => {
  await using world = await newAgentWorld()
  const first = await world.start()
  const [known, unknown] = [await world.newMachine(first.agent), await world.newMachine(first.agent)]
  const { pid } = await first.agent.putMachine(known, WAIT_MS)
  await first.end('SIGKILL')
  await using pretenders = new AsyncDisposableStack()
  const fakes = [known, unknown].map(({ id }) => {
    const args = ['-c', 'read line', 'qemu', '-uuid', id, '-pidfile', world.pathsOf(id).pidFile]
    const fake = spawn('sh', args, { stdio: ['pipe', 'ignore', 'ignore'], uid: 65_534, gid: 65_534 })
    const exited = once(fake, 'exit')
    pretenders.defer(async () => {
      fake.kill('SIGKILL')
      await exited
    })
    return fake.pid
  })
  await eventually('both look like guests', async () => (await world.pidsOf(unknown.id)).length === 1)

  const { agent } = await world.start()
  expect(await seen(agent, known.id, ({ state }) => state === 'Running')).toMatchObject({ pid, restarts: 0 })
  const started = await agent.putMachine(unknown, WAIT_MS)
  expect(started.state).toBe('Running')
  expect(fakes).not.toContain(started.pid)
  expect(await readFile(`/proc/${started.pid}/status`, 'utf8')).toContain('Uid:\t18791000')
})

test('Serial log is kept within bounds while its guest writes to it', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const machine = await world.newMachine(agent)
  await agent.putMachine(machine, WAIT_MS)
  const paths = world.pathsOf(machine.id)
  await appendFile(paths.serialLog, 'x'.repeat(3 * MIB))
  await eventually('the log is short again', async () => (await stat(paths.serialLog)).size < MIB)
  const { size, mode } = await stat(`${paths.serialLog}.1`)
  expect(size).toBeLessThanOrEqual(MIB)
  expect(size).toBeGreaterThan(MIB - 4096)
  expect(mode & 0o077).toBe(0)
})
