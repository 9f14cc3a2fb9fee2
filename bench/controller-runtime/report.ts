import { median, printer, round } from '../statistics.ts'
import { writesPerMachine } from '../writes.ts'

/** What one contender did in one round. */
export interface Turn {
  readonly seconds: number
  /** Of the contender itself, until its last event was sent. */
  readonly cpuSeconds: number
  /** Of the API server meanwhile. */
  readonly apiServerCpuSeconds: number
  /** In millions of bytes. */
  readonly peakRssMb: number
  /** API writes by verb and resource. */
  readonly writes: ReadonlyMap<string, number>
}

export interface Round {
  readonly holdfast: Turn
  readonly controllerRuntime: Turn
}
type Contender = keyof Round

export interface Outcome {
  readonly rounds: readonly Round[]
  readonly machines: number
  readonly say: (line: string) => void
}

/** Prints tables, and returns the figures: those without a prefix are Holdfast's. */
export function report({ rounds, machines, say }: Outcome) {
  const of = (contender: Contender, value: (turn: Turn) => number) =>
    median(rounds.map((turns) => value(turns[contender])))
  const speed = ({ seconds }: Turn) => machines / seconds
  const written = (contender: Contender, what: 'onMachine' | 'onDisk' | 'events') =>
    round(
      of(contender, ({ writes }) => writesPerMachine(writes, machines)[what]),
      3,
    )
  const both = (name: string, decimals: number, value: (turn: Turn) => number) => [
    name,
    round(of('holdfast', value), decimals),
    round(of('controllerRuntime', value), decimals),
  ]
  const rows = [
    [`${machines} machines, median of ${rounds.length}`, 'Holdfast', 'controller-runtime'],
    both('machines a second', 1, speed),
    both('CPU s', 2, ({ cpuSeconds }) => cpuSeconds),
    both('MB at most', 1, ({ peakRssMb }) => peakRssMb),
    both('CPU s of the API server', 2, ({ apiServerCpuSeconds }) => apiServerCpuSeconds),
    ...writtenKeys(rounds, machines).map((key) =>
      both(`${key} a machine`, 3, (turn) => (turn.writes.get(key) ?? 0) / machines),
    ),
  ]
  printer(say)(rows)
  const ratios = rounds.map(({ holdfast, controllerRuntime }) => speed(holdfast) / speed(controllerRuntime))
  return {
    ratio: round(median(ratios), 3),
    vmsPerSecond: round(of('holdfast', speed), 1),
    controllerRuntimeVmsPerSecond: round(of('controllerRuntime', speed), 1),
    cpuSeconds: round(
      of('holdfast', ({ cpuSeconds }) => cpuSeconds),
      2,
    ),
    controllerRuntimeCpuSeconds: round(
      of('controllerRuntime', ({ cpuSeconds }) => cpuSeconds),
      2,
    ),
    peakRssMb: round(
      of('holdfast', ({ peakRssMb }) => peakRssMb),
      1,
    ),
    controllerRuntimePeakRssMb: round(
      of('controllerRuntime', ({ peakRssMb }) => peakRssMb),
      1,
    ),
    vmWritesPerVm: written('holdfast', 'onMachine'),
    controllerRuntimeVmWritesPerVm: written('controllerRuntime', 'onMachine'),
    diskWritesPerVm: written('holdfast', 'onDisk'),
    controllerRuntimeDiskWritesPerVm: written('controllerRuntime', 'onDisk'),
    eventsPerVm: written('holdfast', 'events'),
    controllerRuntimeEventsPerVm: written('controllerRuntime', 'events'),
    machines,
    rounds: rounds.length,
  }
}

/** What either of them wrote for a machine. */
function writtenKeys(rounds: readonly Round[], machines: number): string[] {
  const turns = rounds.flatMap(({ holdfast, controllerRuntime }) => [holdfast, controllerRuntime])
  return [...new Set(turns.flatMap(({ writes }) => [...writesPerMachine(writes, machines).writes.keys()]))].toSorted()
}
