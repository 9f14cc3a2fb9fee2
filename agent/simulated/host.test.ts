import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import type { AgentEvent, DesiredMachine } from '../contract.ts'
import { newSimulatedHost } from './host.ts'

const GI = 2 ** 30
const START_MS = 20
const PATIENCE_MS = 5_000

async function newHost() {
  const host = newSimulatedHost({ name: 'simulated-1', startMs: START_MS, clock: systemClock })
  const disk = randomUUID()
  await host.putDisk({ id: disk, storage: 'local', sizeBytes: GI })
  const id = randomUUID()
  const order = (change: Partial<DesiredMachine> = {}, epoch = 1): DesiredMachine => ({
    id,
    name: 'default/vm',
    decision: { id: randomUUID(), epoch, follows: [] },
    power: 'Running',
    cpus: 1,
    memoryBytes: GI,
    machineType: 'q35',
    macs: [],
    disks: [{ id: disk, storage: 'local' }],
    restart: 'Always',
    gracePeriodSeconds: 0,
    ...change,
  })
  return { host, disk, order }
}

describe('A simulated host', () => {
  test('starts a machine after the delay, says so, and stops it at once', async () => {
    const { host, order } = await newHost()
    const heard: string[] = []
    const abort = new AbortController()
    const listening = listen(host.events(abort.signal), heard)
    const first = order()
    expect(await host.putMachine(first)).toMatchObject({ state: 'Starting', power: 'Running' })
    expect(await host.putMachine(first, PATIENCE_MS)).toMatchObject({ state: 'Running' })
    expect(await host.putMachine(order({ power: 'Stopped' }, 2))).toMatchObject({ state: 'Stopped' })
    await expect.poll(() => heard).toContain('Stopped')
    abort.abort()
    await listening
    expect(heard).toEqual(['Synced', 'Starting', 'Running', 'Stopped'])
  })

  test('stays off when it is stopped while it starts, and pauses and restarts as told', async () => {
    const { host, order } = await newHost()
    await host.putMachine(order())
    await host.putMachine(order({ power: 'Stopped' }, 2))
    await sleep(2 * START_MS)
    expect(await host.machines()).toMatchObject([{ state: 'Stopped' }])

    await host.putMachine(order({}, 3), PATIENCE_MS)
    expect(await host.putMachine(order({ paused: true }, 4))).toMatchObject({ state: 'Paused' })
    const restart = order({ once: 'Restart' }, 5)
    expect(await host.putMachine(restart)).toMatchObject({ state: 'Starting' })
    expect(await host.putMachine(restart, PATIENCE_MS)).toMatchObject({ state: 'Running' })
  })

  test('refuses what an agent refuses', async () => {
    const { host, disk, order } = await newHost()
    const first = order()
    await host.putMachine(first)
    const older = order({}, 2)
    await host.putMachine(older)
    await expect(host.putMachine(first)).rejects.toMatchObject({ code: 'STALE_EPOCH' })
    await expect(
      host.putMachine({ ...older, decision: { ...older.decision, id: randomUUID() } }),
    ).rejects.toMatchObject({
      code: 'STALE_EPOCH',
    })
    const other = { ...order(), id: randomUUID() }
    await expect(host.putMachine(other)).rejects.toMatchObject({ code: 'DISK_CLAIMED' })
    await expect(host.deleteDisk('local', disk)).rejects.toMatchObject({ code: 'DISK_IN_USE' })
  })

  test('gives disks back with a machine that is absent, and never shrinks one', async () => {
    const { host, disk, order } = await newHost()
    await host.putMachine(order())
    expect(await host.putDisk({ id: disk, storage: 'local', sizeBytes: 1 })).toMatchObject({ sizeBytes: GI })
    expect(await host.putMachine(order({ power: 'Absent' }, 2))).toMatchObject({ state: 'Absent' })
    await host.deleteDisk('local', disk)
    expect(await host.putMachine(order({ disks: [] }, 3))).toMatchObject({ power: 'Running' })
  })
})

async function listen(events: AsyncIterable<AgentEvent>, heard: string[]): Promise<void> {
  for await (const event of events) heard.push(event.type === 'Machine' ? event.machine.state : event.type)
}
