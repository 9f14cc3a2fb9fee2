import { appendFile, mkdir, stat } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { decidedAnew } from './machine/testing.ts'
import { run } from './run.ts'
import {
  bootGuest,
  bootSector,
  eventually,
  hasBooted,
  killPid,
  newAgentWorld,
  putGuestImage,
  seen,
  serialLog,
  typeInto,
} from './testing.ts'

const WAIT_MS = 30_000
const MIB = 2 ** 20
const limit = { timeout: 300_000 }

test(
  'Guest has the hardware that was ordered, is adopted while it writes, shuts down when it is stopped, and keeps its disk',
  limit,
  async () => {
    await using world = await newAgentWorld()
    const first = await world.start()
    const { machine, pid } = await bootGuest(world, first.agent)
    const seenByGuest = await serialLog(world.pathsOf(machine.id))
    expect(seenByGuest).toContain(`holdfast-guest: machine ${machine.id}`)
    expect(seenByGuest).toContain('holdfast-guest: mac 52:54:00:12:34:56')
    const serial = machine.disks[0]?.id.slice(0, 20)
    expect(seenByGuest).toContain(`holdfast-guest: disk vda ${96 * MIB} serial ${serial}`)

    await first.end('SIGKILL')
    const { agent } = await world.start()
    const adopted = await agent.putMachine(machine, WAIT_MS)
    expect(adopted).toMatchObject({ state: 'Running', pid })
    expect(adopted).not.toHaveProperty('problem')
    // A new decision claims the disks again, under the running guest.
    const next = decidedAnew(machine, {})
    const anew = await agent.putMachine(next, WAIT_MS)
    expect(anew).toMatchObject({ state: 'Running', pid })
    expect(anew).not.toHaveProperty('problem')
    await typeInto(world.pathsOf(machine.id), 'echo some > /disk/some; sync; echo so""me $(cat /disk/some)\n')
    const paths = world.pathsOf(machine.id)
    await eventually('it wrote', async () => (await serialLog(paths)).includes('\nsome some'))

    await appendFile(paths.serialLog, 'x'.repeat(2 * MIB))
    await eventually('the log is short again', async () => (await stat(paths.serialLog)).size < MIB)
    await typeInto(paths, 'echo still""here\n')
    await eventually('it writes on', async () => (await serialLog(paths)).includes('\nstillhere'))
    expect(await serialLog(paths)).not.toContain('\0')

    const stop = decidedAnew(next, { power: 'Stopped' })
    expect(await agent.putMachine(stop, 60_000)).toMatchObject({ state: 'Stopped', restarts: 0 })
    const said = await serialLog(paths)
    expect(said).toContain('holdfast-guest: power button')
    expect(said).toContain('holdfast-guest: off')

    await agent.putMachine(decidedAnew(stop, { power: 'Running' }), WAIT_MS)
    await hasBooted(world, machine, 2)
  },
)

test('Guest that ignores the power button is ended when its grace period is over', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  // Its disk is empty: there is only the firmware, which nobody can ask to shut down.
  const machine = await world.newMachine(agent, { gracePeriodSeconds: 3 })
  await agent.putMachine(machine, WAIT_MS)
  const startedAt = performance.now()
  const stop = decidedAnew(machine, { power: 'Stopped' })
  expect(await agent.putMachine(stop, WAIT_MS)).toMatchObject({ state: 'Stopped' })
  expect(performance.now() - startedAt).toBeGreaterThan(2900)
})

test('Guest that shuts itself down is left off under Never', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const { machine } = await bootSector(world, agent, { restart: 'Never' })
  await typeInto(world.pathsOf(machine.id), 'o')
  const ended = await seen(agent, machine.id, ({ state }) => state === 'Stopped')
  expect(ended).toMatchObject({ restarts: 0, problem: { code: 'GuestShutdown' } })
  expect(await world.pidsOf(machine.id)).toEqual([])
})

test('Guest that shuts itself down or crashes is started again under Always, on a sound disk', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const { machine, pid } = await bootSector(world, agent)
  await typeInto(world.pathsOf(machine.id), 'o')
  const again = await seen(agent, machine.id, (observed) => observed.state === 'Running' && observed.pid !== pid)
  expect(again.restarts).toBe(1)
  // It counts on its disk.
  await hasBooted(world, machine, 2)
  await killPid(again.pid)
  await hasBooted(world, machine, 3)
  expect(await agent.machines()).toMatchObject([{ state: 'Running', restarts: 2 }])
})

test('Guest that reboots itself is the same process, and no restart', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const { machine, pid } = await bootSector(world, agent)
  await typeInto(world.pathsOf(machine.id), 'r')
  await hasBooted(world, machine, 2)
  expect(await agent.machines()).toMatchObject([{ state: 'Running', pid, restarts: 0 }])
})

test('Guest that shuts itself down while no agent is there is told apart from one that crashes', limit, async () => {
  await using world = await newAgentWorld()
  const first = await world.start()
  const shutDown = await bootSector(world, first.agent, { restart: 'Never' })
  const crashed = await bootSector(world, first.agent, { restart: 'Never' })
  await first.end('SIGKILL')
  await typeInto(world.pathsOf(shutDown.machine.id), 'o')
  const off = async () => (await serialLog(world.pathsOf(shutDown.machine.id))).includes('holdfast-guest: off')
  await eventually('the guest is off', off)
  await killPid(crashed.pid)

  const { agent } = await world.start()
  expect(await seen(agent, shutDown.machine.id, ({ state }) => state === 'Stopped')).toMatchObject({
    problem: { code: 'GuestShutdown' },
  })
  expect(await seen(agent, crashed.machine.id, ({ state }) => state === 'Stopped')).toMatchObject({
    problem: { code: 'Crashed' },
  })
})

const { code } = await run('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'none', '/mnt'])
const canMount = code === 0

test.skipIf(!canMount)('Guest whose storage is full is paused, and goes on when there is space', limit, async () => {
  await using world = await newAgentWorld()
  const small = `${world.dir}/small`
  await mkdir(small)
  await using mounted = new AsyncDisposableStack()
  await run('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'holdfast-test', small])
  // Its disk is still open until the world has killed its guest.
  mounted.defer(async () => void (await run('umount', ['--lazy', small])))
  const { agent } = await world.start()
  await agent.putStorage({ name: 'small', path: small })
  const { disks } = await world.newMachine(agent, {}, { storage: 'small', sizeBytes: 16 * MIB })
  const [data] = disks
  if (!data) throw new Error('unreachable')
  const image = await putGuestImage(world)
  const root = await world.newMachine(agent, { memoryBytes: 192 * MIB }, { image, sizeBytes: 96 * MIB })
  const machine = { ...root, disks: [...root.disks, { ...data, storage: 'small' }] }
  const { pid } = await agent.putMachine(machine, WAIT_MS)
  await hasBooted(world, machine, 1)
  const paths = world.pathsOf(machine.id)
  await typeInto(paths, 'dd if=/dev/urandom of=/dev/vdb bs=1M count=12 && sync && echo all""written\n')
  const paused = await seen(agent, machine.id, ({ state }) => state === 'Paused')
  expect(paused).toMatchObject({ pid, problem: { code: 'DiskFull' } })

  await run('mount', ['-o', 'remount,size=64m', small])
  await eventually('the guest wrote it all', async () => (await serialLog(paths)).includes('\nallwritten'))
  const goesOn = await seen(agent, machine.id, ({ state }) => state === 'Running')
  expect(goesOn).toMatchObject({ pid, restarts: 0 })
  expect(goesOn).not.toHaveProperty('problem')
})
