import { randomUUID } from 'node:crypto'
import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { decidedAnew } from './machine/testing.ts'
import { eventually, killPid, newAgentWorld, openFiles, seen, type AgentWorld } from './testing.ts'

const WAIT_MS = 30_000

test.each([
  ['empty', () => ''],
  ['cut in the middle', (text: string) => text.slice(0, text.length / 2)],
])(
  'Guest whose record is %s after a crash of the host runs on, and no other is lost',
  { timeout: 120_000 },
  async (_how, tear) => {
    await using world = await newAgentWorld()
    const first = await world.start()
    const torn = await world.newMachine(first.agent, { macs: ['52:54:00:12:34:56'] })
    const whole = await world.newMachine(first.agent)
    const { pid } = await first.agent.putMachine(torn, WAIT_MS)
    const other = await first.agent.putMachine(whole, WAIT_MS)
    await first.end('SIGKILL')
    const record = join(world.dir, 'state', 'machines', `${torn.id}.json`)
    await writeFile(record, tear(await readFile(record, 'utf8')))

    const { agent } = await world.start()
    await seen(agent, whole.id, (machine) => machine.state === 'Running' && machine.pid === other.pid)
    const { stateProblem } = await agent.host()
    expect(stateProblem).toMatchObject({ code: 'RecordsUnreadable', message: expect.stringContaining(torn.id) })
    expect(await world.pidsOf(torn.id)).toEqual([pid])
    // What is not in a record is in its process, and beside its disks.
    const { macs, disks, decision, name } = torn
    expect(await seen(agent, torn.id, ({ problem }) => problem?.code === 'OrderMissing')).toMatchObject({
      name,
      power: 'Running',
      state: 'Running',
      pid,
      macs,
      disks,
      cpus: torn.cpus,
      memoryBytes: torn.memoryBytes,
      decision: { id: decision.id, epoch: decision.epoch },
    })
    // Its user is given to nobody else, although no record names it.
    const fresh = await agent.putMachine(await world.newMachine(agent), WAIT_MS)
    const owners = await Promise.all([pid, other.pid, fresh.pid].map(async (one) => (await stat(`/proc/${one}`)).uid))
    expect(new Set(owners).size).toBe(process.getuid?.() === 0 ? 3 : 1)

    // It is known what its process lacks of a new order.
    const ordered = await agent.putMachine({ ...torn, cpus: torn.cpus + 1 }, WAIT_MS)
    expect(ordered).toMatchObject({ state: 'Running', pid, pendingRestart: ['cpus'], cpus: torn.cpus })
    expect(ordered).not.toHaveProperty('problem')
    expect((await agent.machines()).filter(({ id }) => id === torn.id)).toHaveLength(1)
    expect(await world.pidsOf(torn.id)).toEqual([pid])
    await eventually('the host is well', async () => (await agent.host()).stateProblem === undefined)
  },
)

/** A guest whose record is deleted while its agent is down, and what the next agent says of it. */
async function loseRecord(world: AgentWorld) {
  const first = await world.start()
  const lost = await world.newMachine(first.agent)
  const { pid } = await first.agent.putMachine(lost, WAIT_MS)
  await first.end('SIGKILL')
  await rm(join(world.dir, 'state', 'machines', `${lost.id}.json`))
  const { agent } = await world.start()
  const found = await seen(agent, lost.id, ({ problem }) => problem?.code === 'OrderMissing')
  expect(found.pid).toBe(pid)
  return { agent, lost, found }
}

test('Guest of which nothing is known any more is told of while it runs', { timeout: 120_000 }, async () => {
  await using world = await newAgentWorld()
  const { agent, lost, found } = await loseRecord(world)
  expect(found).toMatchObject({ name: lost.name, disks: lost.disks })
  const [disk] = lost.disks
  await expect(agent.deleteDisk('fast', disk?.id ?? '')).rejects.toMatchObject({ code: 'DISK_IN_USE' })
  await killPid(found.pid)
  await eventually('nobody tells of it', async () => (await agent.machines()).length === 0)
})

test('Guest whose record is lost is restarted by an order that never reached it', { timeout: 120_000 }, async () => {
  await using world = await newAgentWorld()
  const { agent, lost, found } = await loseRecord(world)
  const restart = decidedAnew(lost, { once: 'Restart' })
  await agent.putMachine(restart, WAIT_MS)
  const restarted = await seen(agent, lost.id, ({ state, pid: now }) => state === 'Running' && now !== found.pid)
  expect(await agent.putMachine(restart, WAIT_MS)).toMatchObject({ state: 'Running', pid: restarted.pid })
})

test('Machine whose record is lost gives back a disk that it is to have no longer', { timeout: 120_000 }, async () => {
  await using world = await newAgentWorld()
  const first = await world.start()
  const lost = await world.newMachine(first.agent)
  const heir = await world.newMachine(first.agent)
  const { disks: moved } = await world.newMachine(first.agent)
  const { pid } = await first.agent.putMachine({ ...lost, disks: [...lost.disks, ...moved] }, WAIT_MS)
  await first.end('SIGKILL')
  await killPid(pid)
  await rm(join(world.dir, 'state', 'machines', `${lost.id}.json`))

  const { agent } = await world.start()
  const without = { ...lost.decision, id: randomUUID(), epoch: 2, follows: [lost.decision.id] }
  expect(await agent.putMachine({ ...lost, decision: without }, WAIT_MS)).toMatchObject({ state: 'Running' })
  const given = await agent.putMachine({ ...heir, disks: [...heir.disks, ...moved] }, WAIT_MS)
  expect(given).toMatchObject({ state: 'Running', pendingRestart: [] })
})

test(
  'Guest whose record is lost keeps a disk that its order does not know of, until one asks it back',
  { timeout: 120_000 },
  async () => {
    await using world = await newAgentWorld()
    const first = await world.start()
    const lost = await world.newMachine(first.agent)
    const { disks: more } = await world.newMachine(first.agent)
    const both = [...lost.disks, ...more]
    const { pid } = await first.agent.putMachine({ ...lost, disks: both }, WAIT_MS)
    await first.end('SIGKILL')
    await rm(join(world.dir, 'state', 'machines', `${lost.id}.json`))

    const { agent } = await world.start()
    await seen(agent, lost.id, ({ problem }) => problem?.code === 'OrderMissing')
    expect(await agent.putMachine(decidedAnew(lost, {}), WAIT_MS)).toMatchObject({ state: 'Running', pid, disks: both })
    const [further] = more
    expect((await openFiles(pid ?? 0)).filter((path) => path.includes(further?.id ?? ''))).toHaveLength(1)
  },
)

test.skipIf(process.getuid?.() !== 0)(
  'Guest of another user than its record says is the same process, and is adopted',
  { timeout: 120_000 },
  async () => {
    await using world = await newAgentWorld()
    const first = await world.start()
    const machine = await world.newMachine(first.agent)
    const { pid } = await first.agent.putMachine(machine, WAIT_MS)
    await first.end('SIGKILL')
    const path = join(world.dir, 'state', 'machines', `${machine.id}.json`)
    const text = await readFile(path, 'utf8')
    const changed = text.replace(/"uid":\s*\d+/, '"uid":1879100099')
    expect(changed).not.toBe(text)
    await writeFile(path, changed)

    const { agent } = await world.start()
    const adopted = await agent.putMachine(machine, WAIT_MS)
    expect(adopted).toMatchObject({ state: 'Running', pid })
    expect(adopted).not.toHaveProperty('problem')
    const next = await agent.putMachine(await world.newMachine(agent), WAIT_MS)
    expect(await uidOf(next.pid)).not.toBe(await uidOf(pid))
    const stop = decidedAnew(machine, { power: 'Stopped', gracePeriodSeconds: 0 })
    expect(await agent.putMachine(stop, WAIT_MS)).toMatchObject({ state: 'Stopped' })
    expect(await world.pidsOf(machine.id)).toEqual([])
    const again = await agent.putMachine(decidedAnew(stop, { power: 'Running' }), WAIT_MS)
    expect(again).toMatchObject({ state: 'Running' })
  },
)

async function uidOf(pid: number | undefined): Promise<string | undefined> {
  return /^Uid:\t(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]
}
