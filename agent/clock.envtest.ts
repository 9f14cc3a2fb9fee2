import { join } from 'node:path'
import { expect, test } from 'vitest'
import { connectAgent } from './client.ts'
import { decidedAnew } from './machine/testing.ts'
import { canSetClock, newClock } from '../lib/testing-clock.ts'
import { addressOf, killPid, newAgentWorld, seen } from './testing.ts'

const WAIT_MS = 30_000
const GRACE_SECONDS = 3
const why = 'the clock of a process is set by libfaketime: apt-get install libfaketime'
const limit = { timeout: 120_000 }

test.for([
  ['ahead', '+1d', '-1d'],
  ['back', '-1d', '+1d'],
] as const)(
  'Clock of a host that jumps a day %s ends, restarts and forgets no machine',
  limit,
  async ([, jump, next], { skip }) => {
    skip(!(await canSetClock()), why)
    await using world = await newAgentWorld()
    const clock = await newClock(join(world.dir, 'clock'))
    const first = await world.start(clock.env)
    const { agent } = first
    const steady = await world.newMachine(agent)
    const { pid } = await agent.putMachine(steady, WAIT_MS)
    const crashing = await world.newMachine(agent)
    await killPid((await agent.putMachine(crashing, WAIT_MS)).pid)
    await seen(agent, crashing.id, ({ retryAt }) => retryAt !== undefined)
    await clock.set(jump)
    const again = await seen(agent, crashing.id, ({ state }) => state === 'Running')
    expect(again.restarts).toBe(1)

    // A guest without a system does not obey the power button.
    const stop = decidedAnew(crashing, { power: 'Stopped', gracePeriodSeconds: GRACE_SECONDS })
    const stopping = agent.putMachine(stop, WAIT_MS)
    const beganMs = performance.now()
    await seen(agent, crashing.id, ({ state }) => state === 'Stopping')
    await clock.set(next)
    expect(await stopping).toMatchObject({ state: 'Stopped' })
    expect(performance.now() - beganMs).toBeGreaterThanOrEqual(GRACE_SECONDS * 1000 - 100)
    const gone = decidedAnew(stop, { power: 'Absent' })
    expect(await agent.putMachine(gone, WAIT_MS)).toMatchObject({ state: 'Absent' })

    await clock.set(jump)
    await first.end('SIGKILL')
    const second = await world.start(clock.env)
    await seen(second.agent, steady.id, (machine) => machine.state === 'Running' && machine.pid === pid)
    await expect(second.agent.putMachine(stop, WAIT_MS)).rejects.toMatchObject({ code: 'STALE_EPOCH' })
    await clock.set('+0d')
    expect(await second.agent.putMachine(steady, WAIT_MS)).toMatchObject({ state: 'Running', pid, restarts: 0 })
    expect(await world.pidsOf(steady.id)).toEqual([pid])
  },
)

test(
  'Clock beyond the certificates keeps callers out until it is right again, and guests run on',
  limit,
  async ({ skip }) => {
    skip(!(await canSetClock()), why)
    await using world = await newAgentWorld()
    const clock = await newClock(join(world.dir, 'clock'))
    const { agent, port } = await world.start(clock.env)
    const machine = await world.newMachine(agent)
    const { pid } = await agent.putMachine(machine, WAIT_MS)
    await clock.set('+400d')
    await using caller = connectAgent(await addressOf(world.authority, port))
    await expect(caller.machines()).rejects.toMatchObject({ code: 'UNREACHABLE' })
    expect(await world.pidsOf(machine.id)).toEqual([pid])
    await clock.set('+0d')
    expect(await seen(caller, machine.id, ({ state }) => state === 'Running')).toMatchObject({ pid, restarts: 0 })
  },
)
