import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { DesiredMachine, HostAgent } from './contract.ts'
import { decidedAnew } from './machine/testing.ts'
import {
  bootGuest,
  eventually,
  hasBooted,
  newAgentWorld,
  seen,
  serialLog,
  typeInto,
  type AgentWorld,
  type BootedGuest,
} from './testing.ts'

const WAIT_MS = 60_000
const MIB = 2 ** 20
const limit = { timeout: 300_000 }

async function newDisk(agent: HostAgent, sizeBytes = 8 * MIB): Promise<DesiredMachine['disks'][number]> {
  const id = randomUUID()
  await agent.putDisk({ id, storage: 'fast', sizeBytes }, WAIT_MS)
  return { id, storage: 'fast' }
}

/** Has the guest's shell say something, with what a command prints. */
async function says(world: AgentWorld, { id }: DesiredMachine, command: string, answer: string): Promise<void> {
  const paths = world.pathsOf(id)
  const mark = randomUUID().slice(0, 8)
  const look = async () => {
    await typeInto(paths, `echo ${mark.slice(0, 4)}""${mark.slice(4)} $(${command})\n`)
    return (await serialLog(paths)).includes(`\n${mark} ${answer}`)
  }
  await eventually(`${command}: ${answer}`, look)
}

/** Guests take most of the time, so these tests have the same two, one after the other. The last restarts one of them. */
describe('Disk of a guest', () => {
  let world: AgentWorld
  let host: Awaited<ReturnType<AgentWorld['start']>>
  let guest: BootedGuest
  let other: BootedGuest

  beforeAll(async () => {
    world = await newAgentWorld()
    host = await world.start()
    guest = await bootGuest(world, host.agent)
    other = await bootGuest(world, host.agent)
  }, 300_000)
  afterAll(async () => world[Symbol.asyncDispose]())

  test('grows while its machine runs, and the guest sees it', limit, async () => {
    const { machine, pid } = guest
    const [disk] = machine.disks
    if (!disk) throw new Error('unreachable')
    expect(await host.agent.putDisk({ ...disk, sizeBytes: 200 * MIB }, WAIT_MS)).toMatchObject({ state: 'Ready' })
    await says(world, machine, 'cat /sys/block/vda/size', String((200 * MIB) / 512))
    expect(await host.agent.putDisk({ ...disk, sizeBytes: 100 * MIB }, WAIT_MS)).toMatchObject({
      state: 'Ready',
      sizeBytes: 200 * MIB,
    })
    // The next agent finds the size in the file, and lets it grow on.
    await host.end('SIGKILL')
    host = await world.start()
    const { agent } = host
    expect(await agent.putDisk({ ...disk, sizeBytes: 200 * MIB }, WAIT_MS)).toMatchObject({ sizeBytes: 200 * MIB })
    await seen(agent, machine.id, ({ state }) => state === 'Running')
    await agent.putMachine(machine, WAIT_MS)
    expect(await agent.putDisk({ ...disk, sizeBytes: 300 * MIB }, WAIT_MS)).toMatchObject({ state: 'Ready' })
    await says(world, machine, 'cat /sys/block/vda/size', String((300 * MIB) / 512))
    const found = (await agent.machines()).find(({ id }) => id === machine.id)
    expect(found).toMatchObject({ pid, restarts: 0 })
  })

  test('is plugged into a machine that runs, out of it, and into another', limit, async () => {
    const { agent } = host
    const { machine, pid } = guest
    const disk = await newDisk(agent)
    const withDisk = { ...machine, disks: [...machine.disks, disk] }
    const plugged = await agent.putMachine(withDisk, WAIT_MS)
    expect(plugged).toMatchObject({ state: 'Running', pid, pendingRestart: [] })
    expect(plugged).not.toHaveProperty('pendingDisks')
    await says(world, machine, 'cat /sys/block/vdb/serial', disk.id.slice(0, 20))
    await says(world, machine, 'echo kept >/dev/vdb; sync; head -c 4 /dev/vdb', 'kept')

    const wanting = { ...other.machine, disks: [...other.machine.disks, disk] }
    await expect(agent.putMachine(wanting, WAIT_MS)).rejects.toMatchObject({ code: 'DISK_CLAIMED' })
    // Left out alone says that whoever orders does not know of it.
    expect(await agent.putMachine(machine, WAIT_MS)).toMatchObject({ state: 'Running', pid, disks: withDisk.disks })
    await says(world, machine, 'ls /sys/block | grep -c vdb', '1')
    const without = { ...machine, detach: [disk.id] }
    expect(await agent.putMachine(without, WAIT_MS)).toMatchObject({ state: 'Running', pid, pendingRestart: [] })
    await says(world, machine, 'ls /sys/block | grep -c vdb', '0')
    expect(await agent.putMachine(wanting, WAIT_MS)).toMatchObject({ state: 'Running', pid: other.pid })
    await says(world, wanting, 'head -c 4 /dev/vdb', 'kept')
  })

  test('keeps its place when another one goes, also over a restart', limit, async () => {
    const { agent } = host
    const { machine } = guest
    const [a, b, c] = [await newDisk(agent), await newDisk(agent), await newDisk(agent)]
    const full = { ...machine, disks: [...machine.disks, a, b] }
    await agent.putMachine(full, WAIT_MS)
    const place = (disk: typeof b) =>
      `for d in /sys/block/vd*; do [ $(cat $d/serial) = ${disk.id.slice(0, 20)} ] && readlink -f $d/device | cut -d/ -f5; done`
    await says(world, machine, place(b), '0000:00:02.2')
    const fewer = { ...full, disks: [...machine.disks, b], detach: [a.id] }
    expect(await agent.putMachine(fewer, WAIT_MS)).not.toHaveProperty('pendingDisks')
    await says(world, machine, place(b), '0000:00:02.2')
    const restart = { ...decidedAnew(fewer, { once: 'Restart' }), disks: [...machine.disks, c, b] }
    expect(await agent.putMachine(restart, WAIT_MS)).not.toHaveProperty('pendingDisks')
    await hasBooted(world, machine, 2)
    await says(world, machine, place(b), '0000:00:02.2')
    await says(world, machine, place(c), '0000:00:02.1')
  })
})

test('Machine that has no port left says that a disk waits for the next start, and has it then', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const machine = await world.newMachine(agent)
  await agent.putMachine(machine, WAIT_MS)
  const more = await Promise.all(Array.from({ length: 5 }, () => newDisk(agent)))
  const full = { ...machine, disks: [...machine.disks, ...more] }
  const waiting = await agent.putMachine(full, WAIT_MS)
  expect(waiting).toMatchObject({ state: 'Running', pendingRestart: ['disks'] })
  expect(waiting.pendingDisks).toMatchObject([{ id: more[4]?.id, action: 'Attach' }])
  const restarted = await agent.putMachine(decidedAnew(full, { once: 'Restart' }), WAIT_MS)
  expect(restarted).toMatchObject({ state: 'Running', pendingRestart: [] })
  expect(restarted).not.toHaveProperty('pendingDisks')
})

test('Machine without a guest keeps a disk that it is asked for, and says so; nothing is forced', limit, async () => {
  await using world = await newAgentWorld()
  const { agent } = await world.start()
  const machine = await world.newMachine(agent)
  const disk = await newDisk(agent)
  const { pid } = await agent.putMachine({ ...machine, disks: [...machine.disks, disk] }, WAIT_MS)
  await agent.putMachine({ ...machine, detach: [disk.id] }, 500)
  const kept = await seen(agent, machine.id, ({ pendingDisks }) => pendingDisks?.[0]?.isKept === true)
  expect(kept).toMatchObject({ state: 'Running', pid, pendingDisks: [{ id: disk.id, action: 'Detach' }] })
  await expect(agent.deleteDisk('fast', disk.id)).rejects.toMatchObject({ code: 'DISK_IN_USE' })
  expect(await agent.putMachine(decidedAnew(machine, { power: 'Stopped' }), WAIT_MS)).toMatchObject({
    state: 'Stopped',
  })
  await agent.deleteDisk('fast', disk.id)
})
