import { expect, test } from 'vitest'
import { MACHINE_ID, succeed, type Script } from '../qmp/testing.ts'
import { newMachineWorld } from './testing-machine.ts'
import { newDesired } from './testing.ts'

const DISK = '0d15c000-0000-4000-8000-000000000001'
const WAIT_MS = 5000
const stats = {
  rd_bytes: 1,
  wr_bytes: 2,
  rd_operations: 3,
  wr_operations: 4,
  flush_operations: 5,
  rd_total_time_ns: 6,
  wr_total_time_ns: 7,
  flush_total_time_ns: 8,
}

/** A machine that runs, whose monitor answers `query-blockstats` like that. */
async function running(answer: Script) {
  const world = await newMachineWorld((asked, wire) => {
    if (asked.execute === 'query-blockstats') answer(asked, wire)
    else succeed(asked, wire)
  })
  const desired = newDesired({ id: MACHINE_ID, disks: [{ id: DISK, storage: 'fast' }] })
  const machine = world.newMachine(desired)
  await machine.order(desired)
  expect(await machine.converged(WAIT_MS)).toMatchObject({ state: 'Running' })
  return { world, machine }
}

test('A machine that runs is measured: its process, and each disk by its id', async () => {
  const { world, machine } = await running(({ id }, wire) => {
    const content = [
      { device: '', qdev: '/machine/peripheral/disk-0/virtio-backend', 'node-name': 'disk-0', stats },
      { device: 'somebody', 'node-name': 'disk-7', stats },
      { stats },
    ]
    wire.write({ id, return: content })
  })
  await using _ = world
  const measured = await machine.measure()
  expect(measured).toMatchObject({
    machine: { id: MACHINE_ID, name: 'default/test', state: 'Running', restarts: 0 },
    hardware: { cpus: 1, memoryBytes: 128 * 2 ** 20 },
    drives: [{ id: DISK, stats }],
  })
  expect(measured.usage?.residentBytes).toBeGreaterThan(0)
  expect(measured.usage?.cpuSeconds).toBeGreaterThanOrEqual(0)
})

test.each<[string, Script]>([
  ['does not answer', () => undefined],
  ['refuses', ({ id }, wire) => wire.write({ id, error: { class: 'CommandNotFound', desc: 'no' } })],
  ['answers something else', ({ id }, wire) => wire.write({ id, return: [{ stats: { rd_bytes: 'many' } }] })],
])('A machine whose monitor %s is measured without its disks, and soon', async (_why, answer) => {
  const { world, machine } = await running(answer)
  await using _ = world
  const begunMs = performance.now()
  const measured = await machine.measure()
  expect(measured).not.toHaveProperty('drives')
  expect(measured.usage?.residentBytes).toBeGreaterThan(0)
  expect(performance.now() - begunMs).toBeLessThan(2000)
})

test('A machine without a process is measured by what it was ordered to have', async () => {
  await using world = await newMachineWorld()
  const desired = newDesired({ id: MACHINE_ID, power: 'Stopped', cpus: 3 })
  const machine = world.newMachine(desired)
  await machine.order(desired)
  const measured = await machine.measure()
  expect(measured).toMatchObject({ machine: { state: 'Stopped' }, hardware: { cpus: 3 } })
  expect(measured).not.toHaveProperty('usage')
})
