import { describe, test, type ExpectStatic } from 'vitest'
import { succeed, type Script, type Wire } from '../qmp/testing.ts'
import type { Machine } from './machine.ts'
import { newMachineWorld } from './testing-machine.ts'
import { decidedAnew, newDesired } from './testing.ts'

const WAIT_MS = 10_000
const LATE_MS = 5500
const patient = { timeout: 20_000, interval: 20 }
const limit = { timeout: 60_000 }
const desired = newDesired({ gracePeriodSeconds: 0 })

const late: Script = (asked, wire) => void setTimeout(() => succeed(asked, wire), LATE_MS)
const answers =
  (answer: (id: string) => object | string): Script =>
  ({ id }, wire) =>
    wire.write(answer(id))

/** A machine that runs, and whose monitor then becomes a bad one, until it is a good one again. */
async function newWorld(expect: ExpectStatic) {
  let script = succeed
  const world = await newMachineWorld((asked, wire) => script(asked, wire))
  const machine = world.newMachine(desired)
  await machine.order(desired)
  const { pid } = await machine.converged(WAIT_MS)
  await expect.poll(() => machine.record.current.launch?.confirmed).toBe(true)
  return {
    machine,
    pid,
    world,
    becomeQuietly: (next: Script) => {
      script = next
    },
    become: (next: Script) => {
      script = next
      // An event makes the agent ask, sooner than it would by itself.
      const last: Wire | undefined = world.qemu.wires.at(-1)
      last?.write({ event: 'RESUME' })
    },
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  }
}

const problemOf = (machine: Machine) => machine.observed().problem?.code

describe.concurrent('Machine whose monitor', () => {
  test.for<[string, Script]>([
    ['hangs', () => undefined],
    ['answers half a line', answers((id) => `{"id":"${id}","return":{"status":"shut`)],
    ['answers a line of more than 1 MiB', answers(() => 'x'.repeat(2 ** 20 + 1))],
    ['answers too late', late],
    ['answers what is no JSON', answers(() => 'shutdown\r\n')],
    ['answers with a state that there is none', answers((id) => ({ id, return: { status: 'gone' } }))],
    ['answers something else', answers((id) => ({ id, return: [] }))],
    ['answers another question', answers(() => ({ id: 'other', return: { status: 'shutdown' } }))],
    ['refuses everything', answers((id) => ({ id, error: { class: 'GenericError', desc: 'no' } }))],
  ])(
    '%s is Running and says so, until it answers: nothing is killed, nothing started twice',
    limit,
    async ([, bad], { expect }) => {
      await using scene = await newWorld(expect)
      const { machine, pid, world } = scene
      scene.become(bad)
      await expect.poll(() => problemOf(machine), patient).toBe('MonitorSilent')
      expect(machine.observed()).toMatchObject({ state: 'Running', pid, restarts: 0 })
      scene.become(succeed)
      await expect.poll(() => problemOf(machine), patient).toBeUndefined()
      expect(machine.observed()).toMatchObject({ state: 'Running', pid, restarts: 0 })
      expect(world.children.map(({ exitCode, signalCode }) => exitCode ?? signalCode)).toEqual([null])
      expect(world.qemu.commands).not.toContain('quit')
    },
  )

  test('hangs is found by itself within ten seconds', limit, async ({ expect }) => {
    await using scene = await newWorld(expect)
    scene.becomeQuietly(() => undefined)
    await expect.poll(() => problemOf(scene.machine), { timeout: 10_000, interval: 20 }).toBe('MonitorSilent')
  })

  test('does not hear what it is told is found then', limit, async ({ expect }) => {
    await using scene = await newWorld(expect)
    // It tells its state, and nothing else.
    scene.becomeQuietly((asked, wire) => asked.execute !== 'stop' && succeed(asked, wire))
    await scene.machine.order(decidedAnew(desired, { paused: true }))
    await expect.poll(() => problemOf(scene.machine), patient).toBe('MonitorSilent')
  })

  test('hangs is ended by an order, and by nothing else', limit, async ({ expect }) => {
    await using scene = await newWorld(expect)
    const { machine, world } = scene
    scene.become(() => undefined)
    await expect.poll(() => problemOf(machine), patient).toBe('MonitorSilent')
    const stop = decidedAnew(desired, { power: 'Stopped' })
    await machine.order(stop)
    expect(await machine.converged(WAIT_MS)).toMatchObject({ state: 'Stopped' })
    expect(world.children.map(({ signalCode }) => signalCode)).toEqual(['SIGKILL'])
  })
})
