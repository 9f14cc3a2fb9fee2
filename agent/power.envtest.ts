import { expect, test } from 'vitest'
import { decidedAnew } from './machine/testing.ts'
import { bootGuest, bootSector, hasBooted, newAgentWorld, seen, serialLog, typeInto, eventually } from './testing.ts'

const WAIT_MS = 30_000
const limit = { timeout: 300_000 }

test(
  'Guest is halted while it is to be paused, also by the next agent, goes on, and is started again after a panic',
  limit,
  async () => {
    await using world = await newAgentWorld()
    const first = await world.start()
    const { machine, pid } = await bootGuest(world, first.agent, { restart: 'OnFailure' })
    const paths = world.pathsOf(machine.id)
    const ticks = async () => (await serialLog(paths)).split('\ntick').length
    await typeInto(paths, 'while true; do echo tick; sleep 0.1; done &\n')
    await eventually('it ticks', async () => (await ticks()) > 2)
    const pause = decidedAnew(machine, { paused: true })
    const paused = await first.agent.putMachine(pause, WAIT_MS)
    expect(paused).toMatchObject({ state: 'Paused', pid })
    expect(paused).not.toHaveProperty('problem')
    const before = await ticks()
    await first.end('SIGKILL')

    const { agent } = await world.start()
    expect(await agent.putMachine(pause, WAIT_MS)).toMatchObject({ state: 'Paused', pid })
    expect(await ticks()).toBe(before)
    expect(await agent.putMachine(decidedAnew(pause, { paused: false }), WAIT_MS)).toMatchObject({
      state: 'Running',
      pid,
    })
    await eventually('it goes on', async () => (await ticks()) > before)

    // A kernel that panics has crashed, and is started again.
    await typeInto(paths, 'echo c > /proc/sysrq-trigger\n')
    const again = await seen(agent, machine.id, (observed) => observed.state === 'Running' && observed.pid !== pid)
    expect(again.restarts).toBe(1)
    await hasBooted(world, machine, 2)
  },
)

test('Guest that is reset while it is halted stays so, and boots once it is to go on', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const { machine, pid } = await bootSector(world, agent)
  const paused = decidedAnew(machine, { paused: true })
  await agent.putMachine(paused, WAIT_MS)
  const reset = decidedAnew(paused, { once: 'Reset' })
  expect(await agent.putMachine(reset, WAIT_MS)).toMatchObject({ state: 'Paused', pid })
  const { once: _, ...rest } = reset
  expect(await agent.putMachine(decidedAnew(rest, { paused: false }), WAIT_MS)).toMatchObject({ state: 'Running', pid })
  await hasBooted(world, machine, 2)
})

test('Guest that is paused is shut down in order when it is stopped', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const { machine } = await bootSector(world, agent)
  const pause = decidedAnew(machine, { paused: true })
  await agent.putMachine(pause, WAIT_MS)
  const stop = decidedAnew(pause, { power: 'Stopped', paused: false })
  expect(await agent.putMachine(stop, WAIT_MS)).toMatchObject({ state: 'Stopped' })
  expect(await serialLog(world.pathsOf(machine.id))).toContain('holdfast-guest: off')
})

test('Guest is reset once by an order, however often it comes and whoever dies meanwhile', limit, async () => {
  await using world = await newAgentWorld()
  const first = await world.start()
  const { machine, pid } = await bootSector(world, first.agent)
  const reset = decidedAnew(machine, { once: 'Reset' })
  expect(await first.agent.putMachine(reset, WAIT_MS)).toMatchObject({ state: 'Running', pid, restarts: 0 })
  await first.agent.putMachine(reset, WAIT_MS)
  await hasBooted(world, machine, 2)
  await first.end('SIGKILL')
  const { agent } = await world.start()
  expect(await agent.putMachine(reset, WAIT_MS)).toMatchObject({ state: 'Running', pid })
  // It answers, and is still the same boot.
  const { once: _, ...rest } = reset
  await agent.putMachine(decidedAnew(rest, { power: 'Stopped' }), WAIT_MS)
  expect(await serialLog(world.pathsOf(machine.id))).toContain('holdfast-guest: power button')
  expect(await serialLog(world.pathsOf(machine.id))).not.toContain('boots 3')
})

test.each([0, 300, 1500])(
  'Guest is restarted once by an order, also when its agent is killed %d ms later',
  limit,
  async (afterMs) => {
    await using world = await newAgentWorld()
    const first = await world.start()
    const { machine, pid } = await bootSector(world, first.agent)
    const restart = decidedAnew(machine, { once: 'Restart' })
    expect(await first.agent.putMachine(restart, afterMs)).toMatchObject({ power: 'Running' })
    await first.end('SIGKILL')
    const { agent } = await world.start()
    const running = await agent.putMachine(restart, WAIT_MS)
    expect(running).toMatchObject({ state: 'Running', restarts: 0 })
    expect(running.pid).not.toBe(pid)
    await hasBooted(world, machine, 2)
    expect(await serialLog(world.pathsOf(machine.id))).toContain('holdfast-guest: off')
    expect(await agent.putMachine(restart, WAIT_MS)).toMatchObject({ state: 'Running', pid: running.pid })
  },
)

test('Guest is switched off at once when it has no grace', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  // Its disk is empty: there is only the firmware, which nobody can ask to shut down.
  const machine = await world.newMachine(agent, { gracePeriodSeconds: 3600 })
  await agent.putMachine(machine, WAIT_MS)
  const stop = decidedAnew(machine, { power: 'Stopped' })
  expect(await agent.putMachine(stop, 1_000)).toMatchObject({ state: 'Stopping' })
  expect(await agent.putMachine(decidedAnew(stop, { gracePeriodSeconds: 0 }), WAIT_MS)).toMatchObject({
    state: 'Stopped',
  })
})

test('Guest that shuts itself down has not crashed, and is left off under OnFailure', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const { machine } = await bootSector(world, agent, { restart: 'OnFailure' })
  await typeInto(world.pathsOf(machine.id), 'o')
  const off = await seen(agent, machine.id, ({ state }) => state === 'Stopped')
  expect(off).toMatchObject({ problem: { code: 'GuestShutdown' } })
  expect(off).not.toHaveProperty('retryAt')
})
