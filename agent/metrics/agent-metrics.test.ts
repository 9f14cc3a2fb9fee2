import { expect, test } from 'vitest'
import type { MachineMeasure } from '../machine/measure.ts'
import { newAgentMetrics } from './agent-metrics.ts'
import type { Sample } from './sampler.ts'

const machine = { id: 'c0ffee00-0000-4000-8000-000000000001', name: 'team/web', state: 'Running', restarts: 2 } as const
const hardware = { cpus: 2, memoryBytes: 2 ** 30, machineType: 'pc-q35-7.2' }
const usage = { cpuSeconds: 12.5, residentBytes: 3 * 2 ** 20 }
const stats = {
  rd_bytes: 4096,
  wr_bytes: 512,
  rd_operations: 2,
  wr_operations: 1,
  flush_operations: 3,
  rd_total_time_ns: 5e8,
  wr_total_time_ns: 25e7,
  flush_total_time_ns: 1e9,
}
const running: MachineMeasure = { machine, hardware, usage, drives: [{ id: 'disk-id', stats }] }

/** Scrapes one after the other, as eight seconds pass between them. */
function newWorld() {
  let nowMs = 0
  let sample: Sample = { host: { cpus: 4, memoryBytes: 2 ** 33 }, machines: [], storages: [] }
  const take = async () => sample
  const metrics = newAgentMetrics({ name: 'host-1', take, clock: { monotonicMs: () => nowMs }, ofProcess: false })
  return async (change: Partial<Sample>): Promise<string[]> => {
    nowMs += 8000
    sample = { ...sample, ...change }
    const text = await metrics.render()
    return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  }
}

test('A machine that runs is shown with all that is known of it', async () => {
  const scrape = newWorld()
  const of = 'host="host-1",namespace="team",name="web"'
  expect(await scrape({ machines: [running] })).toEqual(
    expect.arrayContaining([
      `holdfast_vm_info{${of},machine_id="${machine.id}",machine_type="pc-q35-7.2"} 1`,
      `holdfast_vm_up{${of}} 1`,
      `holdfast_vm_paused{${of}} 0`,
      `holdfast_vm_restarts{${of}} 2`,
      `holdfast_vm_vcpus{${of}} 2`,
      `holdfast_vm_memory_configured_bytes{${of}} 1073741824`,
      `holdfast_vm_memory_resident_bytes{${of}} 3145728`,
      `holdfast_vm_cpu_usage_seconds_total{${of}} 12.5`,
      `holdfast_vm_storage_read_traffic_bytes_total{${of},drive="disk-id"} 4096`,
      `holdfast_vm_storage_flush_times_seconds_total{${of},drive="disk-id"} 1`,
    ]),
  )
})

test('A machine that is gone, or does not answer, has no series that go on as they were', async () => {
  const scrape = newWorld()
  await scrape({ machines: [running] })
  const silent = await scrape({ machines: [{ machine, hardware, usage }] })
  expect(silent.filter((line) => line.includes('_storage_'))).toEqual([])
  const off = await scrape({ machines: [{ machine: { ...machine, state: 'Stopped' }, hardware }] })
  expect(off.filter((line) => line.includes('cpu_usage') || line.includes('resident'))).toEqual([])
  expect(off).toContainEqual(expect.stringMatching(/^holdfast_vm_up\{.*\} 0$/))
  const gone = await scrape({ machines: [] })
  expect(gone.filter((line) => line.startsWith('holdfast_vm_'))).toEqual([])
})

test('Of two machines with one name the one that has a process is shown', async () => {
  const scrape = newWorld()
  const orphan: MachineMeasure = { machine: { ...machine, state: 'Stopped' }, hardware }
  for (const machines of [
    [orphan, running],
    [running, orphan],
  ]) {
    const lines = await scrape({ machines })
    expect(lines.filter((line) => line.startsWith('holdfast_vm_up'))).toEqual([expect.stringMatching(/ 1$/)])
  }
})

test('A host shows the traffic of its interfaces, and one that is gone has no series', async () => {
  const scrape = newWorld()
  const eno1 = { name: 'eno1', receivedBytes: 10, transmittedBytes: 20 }
  const usb0 = { name: 'usb0', receivedBytes: 1, transmittedBytes: 2 }
  const [host, of] = [{ cpus: 4, memoryBytes: 2 ** 33 }, 'host="host-1",interface']
  expect(await scrape({ host: { ...host, network: [eno1, usb0] } })).toEqual(
    expect.arrayContaining([
      `holdfast_host_network_receive_bytes_total{${of}="eno1"} 10`,
      `holdfast_host_network_transmit_bytes_total{${of}="eno1"} 20`,
      `holdfast_host_network_transmit_bytes_total{${of}="usb0"} 2`,
    ]),
  )
  const later = await scrape({ host: { ...host, network: [eno1] } })
  expect(later.filter((line) => line.includes('usb0'))).toEqual([])
})

test('A simulated host says nothing of what it does not have', async () => {
  const scrape = newWorld()
  const lines = await scrape({ machines: [{ machine }] })
  expect(lines.map((line) => line.split('{')[0])).toEqual([
    'holdfast_host_cpus',
    'holdfast_host_memory_capacity_bytes',
    'holdfast_vm_info',
    'holdfast_vm_up',
    'holdfast_vm_paused',
    'holdfast_vm_restarts',
  ])
})

test('A storage that cannot be used is said to be so, and has no space', async () => {
  const scrape = newWorld()
  const space = { capacityBytes: 10, availableBytes: 4 }
  const lines = await scrape({
    storages: [
      { name: 'fast', space },
      { name: 'lost', space: undefined },
    ],
  })
  expect(lines.filter((line) => line.startsWith('holdfast_storage_'))).toEqual([
    'holdfast_storage_usable{host="host-1",storage="fast"} 1',
    'holdfast_storage_usable{host="host-1",storage="lost"} 0',
    'holdfast_storage_capacity_bytes{host="host-1",storage="fast"} 10',
    'holdfast_storage_available_bytes{host="host-1",storage="fast"} 4',
  ])
})
