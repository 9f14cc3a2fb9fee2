import { spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { symlink } from 'node:fs/promises'
import { afterEach, expect, test } from 'vitest'
import { silentLog } from '../../lib/log.ts'
import { MACHINE_ID, newScriptedMonitor, succeed, type Script } from '../qmp/testing.ts'
import { Guest } from './guest.ts'
import { isAlive, processOf, type HostProcess } from './processes.ts'

const children: ChildProcess[] = []

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

/** A process that stands in for QEMU, whose monitor is a script. */
async function newProcess(): Promise<{ readonly child: ChildProcess; readonly process: HostProcess }> {
  const child = spawn('sleep', ['600'], { stdio: 'ignore' })
  children.push(child)
  await once(child, 'spawn')
  const process = processOf(child.pid ?? 0)
  if (!process) throw new Error('the process ended at once')
  return { child, process }
}

const ownUid = process.getuid?.()

function newGuest(target: HostProcess, qmp: string, child?: ChildProcess, owner = { id: MACHINE_ID, uid: ownUid }) {
  const states: string[] = []
  const onChange = () => void states.push(guest.state)
  const guest: Guest = new Guest(target, { ...owner, qmp, log: silentLog, onChange }, child)
  return { guest, states, [Symbol.dispose]: () => guest[Symbol.dispose]() }
}

function withStatus(statusOf: () => string): Script {
  return (asked, wire) => {
    if (asked.execute === 'query-status') wire.write({ id: asked.id, return: { status: statusOf() } })
    else if (asked.execute === 'query-block') {
      wire.write({ id: asked.id, return: [{ device: '' }, { qdev: 'disk-0', 'io-status': 'nospace' }] })
    } else succeed(asked, wire)
  }
}

test('Guest has the state that its monitor tells, and follows its events', async () => {
  let status = 'prelaunch'
  await using qemu = await newScriptedMonitor({ script: withStatus(() => status) })
  using world = newGuest((await newProcess()).process, qemu.path)
  const { guest, states } = world
  expect(guest.state).toBe('Silent')
  expect(await guest.connect(5000)).toBe(true)
  expect(guest.state).toBe('prelaunch')
  status = 'running'
  qemu.wires[0]?.write({ event: 'RESUME' })
  await expect.poll(() => guest.state).toBe('running')
  status = 'io-error'
  qemu.wires[0]?.write({ event: 'BLOCK_IO_ERROR' })
  await expect.poll(() => guest.problem).toBe('nospace')
  expect(states).toEqual(['prelaunch', 'running', 'io-error'])
})

test('Guest whose process ends keeps the last state, so that a shutdown is told from a crash', async () => {
  let status = 'running'
  await using qemu = await newScriptedMonitor({ script: withStatus(() => status) })
  const { child, process } = await newProcess()
  using world = newGuest(process, qemu.path, child)
  await world.guest.connect(5000)
  status = 'shutdown'
  qemu.wires[0]?.write({ event: 'SHUTDOWN' })
  await expect.poll(() => world.guest.state).toBe('shutdown')
  child.kill('SIGKILL')
  qemu.wires[0]?.end()
  await expect.poll(() => world.guest.hasExited).toBe(true)
  expect(world.guest.state).toBe('shutdown')
  expect(await world.guest.connect(5000)).toBe(false)
})

test.each([
  ['a link to another machine’s', true, { id: MACHINE_ID, uid: ownUid }, []],
  ['a monitor that is another machine’s', false, { id: randomUUID(), uid: ownUid }, ['qmp_capabilities', 'query-uuid']],
  ['a socket of another user', false, { id: MACHINE_ID, uid: 12_345 }, []],
])('Guest does not trust %s, and ends nothing but its own process', async (_what, isLink, owner, commands) => {
  await using qemu = await newScriptedMonitor()
  const link = `${qemu.path}-link`
  await symlink(qemu.path, link)
  const { child, process } = await newProcess()
  using world = newGuest(process, isLink ? link : qemu.path, child, owner)
  const { guest } = world
  expect(await guest.connect(200)).toBe(false)
  expect(guest).toMatchObject({ state: 'Silent', problem: 'foreign' })
  await guest.pressPowerButton()
  expect(await guest.end('Quit')).toBe(true)
  expect(isAlive(process)).toBe(false)
  expect([...new Set(qemu.commands)]).toEqual(commands)
})

test('Guest that lives while its monitor is gone is silent, and is found again', async () => {
  await using qemu = await newScriptedMonitor()
  using world = newGuest((await newProcess()).process, qemu.path)
  await world.guest.connect(5000)
  qemu.wires[0]?.end()
  await expect.poll(() => world.guest.state, { timeout: 5000 }).toBe('Silent')
  await expect.poll(() => world.guest.state, { timeout: 5000 }).toBe('running')
  expect(world.guest.hasExited).toBe(false)
})

test('Guest that does not quit is killed', async () => {
  const { child, process } = await newProcess()
  // Says yes and goes on.
  await using qemu = await newScriptedMonitor()
  using world = newGuest(process, qemu.path, child)
  await world.guest.connect(5000)
  expect(await world.guest.end('Kill')).toBe(true)
  expect(isAlive(process)).toBe(false)
  expect(qemu.commands).not.toContain('quit')
})

test('Guest that quits when it is asked to is not killed', async () => {
  const { child, process } = await newProcess()
  const script: Script = (asked, wire) => {
    if (asked.execute === 'quit') child.kill('SIGTERM')
    succeed(asked, wire)
  }
  await using qemu = await newScriptedMonitor({ script })
  using world = newGuest(process, qemu.path, child)
  await world.guest.connect(5000)
  expect(await world.guest.end('Quit')).toBe(true)
  expect(child.signalCode).toBe('SIGTERM')
})

test('Guest without a monitor is killed when it is asked to quit', async () => {
  const { child, process } = await newProcess()
  using world = newGuest(process, '/tmp/holdfast-no-such-socket', child)
  expect(await world.guest.connect(20)).toBe(false)
  expect(await world.guest.end('Quit')).toBe(true)
  expect(isAlive(process)).toBe(false)
})

test('Guest goes on living when nobody looks at it any more', async () => {
  await using qemu = await newScriptedMonitor()
  const { process } = await newProcess()
  const { guest } = newGuest(process, qemu.path)
  await guest.connect(5000)
  guest[Symbol.dispose]()
  expect(isAlive(process)).toBe(true)
})
