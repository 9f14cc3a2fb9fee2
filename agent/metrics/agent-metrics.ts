import type { Clock } from '../../lib/clock.ts'
import { newMetrics, type Metrics } from '../../lib/metrics/metrics.ts'
import type { MeasuredStorage } from '../storage/space-meter.ts'
import type { HostUsage, InterfaceTraffic } from './host-usage.ts'
import { addMachineMetrics } from './machine-metrics.ts'
import { newSampler, type Sample } from './sampler.ts'

export interface AgentMetricsDeps {
  /** Of the host. It is a label of all that is said of it. */
  readonly name: string
  readonly take: () => Promise<Sample>
  readonly clock: Pick<Clock, 'monotonicMs'>
  /** Also what the agent's own process uses; not where one process plays many hosts. */
  readonly ofProcess: boolean
}

/** Makes the metrics of one host. They are measured when somebody asks, and at most every eight seconds. */
export function newAgentMetrics({ name, take, clock, ofProcess }: AgentMetricsDeps): Metrics {
  const metrics = newMetrics({ ofProcess })
  const sample = newSampler(take, clock)
  const showHost = addHostMetrics(metrics, name)
  const showStorages = addStorageMetrics(metrics, name)
  const showMachines = addMachineMetrics(metrics, name)
  metrics.onScrape(async () => {
    const { host, storages, machines } = await sample()
    showHost(host)
    showStorages(storages)
    showMachines(machines)
  })
  return metrics
}

function addHostMetrics(metrics: Metrics, host: string): (usage: HostUsage) => void {
  const labels = ['host'] as const
  const cpus = metrics.sampledGauge({ name: 'holdfast_host_cpus', help: 'CPUs of the host.', labels })
  const memory = metrics.sampledGauge({
    name: 'holdfast_host_memory_capacity_bytes',
    help: 'Memory of the host.',
    labels,
  })
  const available = metrics.sampledGauge({
    name: 'holdfast_host_memory_available_bytes',
    help: 'Memory of the host that can be had without swapping.',
    labels,
  })
  const cpuSeconds = metrics.sampledCounter({
    name: 'holdfast_host_cpu_seconds_total',
    help: 'Time that all CPUs of the host together have spent since its boot, by what they did.',
    labels: ['host', 'mode'],
  })
  const showTraffic = addTrafficMetrics(metrics, host)
  return ({ cpus: count, memoryBytes, memoryAvailableBytes, cpuSeconds: byMode = {}, network = [] }) => {
    cpus.replace([[{ host }, count]])
    memory.replace([[{ host }, memoryBytes]])
    available.replace(memoryAvailableBytes === undefined ? [] : [[{ host }, memoryAvailableBytes]])
    cpuSeconds.replace(Object.entries(byMode).map(([mode, seconds]) => [{ host, mode }, seconds]))
    showTraffic(network)
  }
}

function addTrafficMetrics(metrics: Metrics, host: string): (network: readonly InterfaceTraffic[]) => void {
  const labels = ['host', 'interface'] as const
  const received = metrics.sampledCounter({
    name: 'holdfast_host_network_receive_bytes_total',
    help: 'Bytes that the host has received, by interface: of those with hardware.',
    labels,
  })
  const transmitted = metrics.sampledCounter({
    name: 'holdfast_host_network_transmit_bytes_total',
    help: 'Bytes that the host has sent, by interface: of those with hardware.',
    labels,
  })
  return (network) => {
    received.replace(network.map(({ name, receivedBytes }) => [{ host, interface: name }, receivedBytes]))
    transmitted.replace(network.map(({ name, transmittedBytes }) => [{ host, interface: name }, transmittedBytes]))
  }
}

function addStorageMetrics(metrics: Metrics, host: string): (storages: readonly MeasuredStorage[]) => void {
  const labels = ['host', 'storage'] as const
  const usable = metrics.sampledGauge({
    name: 'holdfast_storage_usable',
    help: 'Whether the folder of the DataStorage is there and answers: 1, or 0.',
    labels,
  })
  const capacity = metrics.sampledGauge({
    name: 'holdfast_storage_capacity_bytes',
    help: 'Size of the file system that the DataStorage is on.',
    labels,
  })
  const available = metrics.sampledGauge({
    name: 'holdfast_storage_available_bytes',
    help: 'What is free on the file system that the DataStorage is on.',
    labels,
  })
  return (storages) => {
    const present = storages.flatMap(({ name: storage, space }) => (space ? [{ of: { host, storage }, space }] : []))
    usable.replace(storages.map(({ name: storage, space }) => [{ host, storage }, space ? 1 : 0]))
    capacity.replace(present.map(({ of, space }) => [of, space.capacityBytes]))
    available.replace(present.map(({ of, space }) => [of, space.availableBytes]))
  }
}
