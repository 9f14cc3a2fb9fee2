import type { Definition, Metrics, Point } from '../../lib/metrics/metrics.ts'
import type { Drive, DriveStats, MachineMeasure } from '../machine/measure.ts'

type Vm = 'namespace' | 'name'
type OfDrive = Vm | 'drive'

interface Series<Label extends string, Of> {
  readonly type: 'gauge' | 'counter'
  readonly name: string
  readonly help: string
  /** Undefined: there is no such series now. */
  readonly valueOf: (of: Of) => number | undefined
  readonly labels?: readonly Label[]
}

const ofMachine: readonly Series<Vm, MachineMeasure>[] = [
  {
    type: 'gauge',
    name: 'holdfast_vm_up',
    help: 'Whether the guest runs: 1, or 0 while it is off, starting, paused or stopping.',
    valueOf: ({ machine }) => Number(machine.state === 'Running'),
  },
  {
    type: 'gauge',
    name: 'holdfast_vm_paused',
    help: 'Whether the guest is halted in the middle of what it does: 1, or 0.',
    valueOf: ({ machine }) => Number(machine.state === 'Paused'),
  },
  {
    type: 'gauge',
    name: 'holdfast_vm_restarts',
    help: 'Starts that followed a crash or a shutdown from inside, since somebody last decided to start or stop it.',
    valueOf: ({ machine }) => machine.restarts,
  },
  {
    type: 'gauge',
    name: 'holdfast_vm_vcpus',
    help: 'Virtual CPUs.',
    valueOf: ({ hardware }) => hardware?.cpus,
  },
  {
    type: 'gauge',
    name: 'holdfast_vm_memory_configured_bytes',
    help: 'Memory that the guest has.',
    valueOf: ({ hardware }) => hardware?.memoryBytes,
  },
  {
    type: 'gauge',
    name: 'holdfast_vm_memory_resident_bytes',
    help: "Memory of the host that the machine's process has in use: the guest's that it ever touched, and QEMU's own.",
    valueOf: ({ usage }) => usage?.residentBytes,
  },
  {
    type: 'counter',
    name: 'holdfast_vm_cpu_usage_seconds_total',
    help: "CPU time that the machine's process has used since it was started: the guest's, and QEMU's own.",
    valueOf: ({ usage }) => usage?.cpuSeconds,
  },
]

const NS = 1e9
const ofDrive: readonly Series<OfDrive, DriveStats>[] = [
  {
    type: 'counter',
    name: 'holdfast_vm_storage_read_traffic_bytes_total',
    help: 'Bytes that the guest has read from a disk since the machine was started.',
    valueOf: (stats) => stats.rd_bytes,
  },
  {
    type: 'counter',
    name: 'holdfast_vm_storage_write_traffic_bytes_total',
    help: 'Bytes that the guest has written to a disk.',
    valueOf: (stats) => stats.wr_bytes,
  },
  {
    type: 'counter',
    name: 'holdfast_vm_storage_iops_read_total',
    help: 'Reads of the guest from a disk.',
    valueOf: (stats) => stats.rd_operations,
  },
  {
    type: 'counter',
    name: 'holdfast_vm_storage_iops_write_total',
    help: 'Writes of the guest to a disk.',
    valueOf: (stats) => stats.wr_operations,
  },
  {
    type: 'counter',
    name: 'holdfast_vm_storage_flush_requests_total',
    help: 'Flushes of the guest to a disk.',
    valueOf: (stats) => stats.flush_operations,
  },
  {
    type: 'counter',
    name: 'holdfast_vm_storage_read_times_seconds_total',
    help: 'Time that reads from a disk took, together.',
    valueOf: (stats) => stats.rd_total_time_ns / NS,
  },
  {
    type: 'counter',
    name: 'holdfast_vm_storage_write_times_seconds_total',
    help: 'Time that writes to a disk took, together.',
    valueOf: (stats) => stats.wr_total_time_ns / NS,
  },
  {
    type: 'counter',
    name: 'holdfast_vm_storage_flush_times_seconds_total',
    help: 'Time that flushes to a disk took, together.',
    valueOf: (stats) => stats.flush_total_time_ns / NS,
  },
]

/** Adds the metrics of machines, and returns what shows them as they were measured. Labels are as in KubeVirt. */
export function addMachineMetrics(metrics: Metrics, host: string): (machines: readonly MachineMeasure[]) => void {
  const labels = ['host', 'namespace', 'name'] as const
  const info = metrics.sampledGauge({
    name: 'holdfast_vm_info',
    help: 'Always 1; tells the identity and the machine type of a machine.',
    labels: [...labels, 'machine_id', 'machine_type'],
  })
  const machineSeries = ofMachine.map((series) => ({ ...series, metric: add(metrics, series, labels) }))
  const driveSeries = ofDrive.map((series) => ({ ...series, metric: add(metrics, series, [...labels, 'drive']) }))

  return (measured) => {
    const machines = measured.toSorted(byProcess)
    info.replace(machines.map((measure) => [{ host, ...infoOf(measure) }, 1]))
    for (const { metric, valueOf } of machineSeries) {
      metric.replace(machines.flatMap((measure) => point({ host, ...vmOf(measure) }, valueOf(measure))))
    }
    const drives = machines.flatMap((measure) =>
      (measure.drives ?? []).map((drive): [Record<'host' | OfDrive, string>, Drive] => [
        { host, ...vmOf(measure), drive: drive.id },
        drive,
      ]),
    )
    for (const { metric, valueOf } of driveSeries) {
      metric.replace(drives.flatMap(([of, { stats }]) => point(of, valueOf(stats))))
    }
  }
}

function add<Label extends string>(
  metrics: Metrics,
  { type, name, help }: Pick<Series<never, never>, 'type' | 'name' | 'help'>,
  labels: readonly Label[],
) {
  const definition: Definition<Label> = { name, help, labels }
  return type === 'gauge' ? metrics.sampledGauge(definition) : metrics.sampledCounter(definition)
}

function point<Label extends string>(labels: Readonly<Record<Label, string>>, value?: number): Point<Label>[] {
  return value === undefined ? [] : [[labels, value]]
}

// An orphan and a new machine can have one name. The one with a process is the one to be seen, and the last one counts.
function byProcess(a: MachineMeasure, b: MachineMeasure): number {
  return Number(a.usage !== undefined) - Number(b.usage !== undefined)
}

function vmOf({ machine }: MachineMeasure): Record<Vm, string> {
  const [namespace = '', name = ''] = machine.name.split('/')
  return { namespace, name }
}

function infoOf(measure: MachineMeasure) {
  const { machine, hardware } = measure
  return { ...vmOf(measure), machine_id: machine.id, machine_type: hardware?.machineType ?? '' }
}
