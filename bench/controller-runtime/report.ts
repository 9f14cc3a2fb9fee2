import { median, printer, round } from '../statistics.ts'
import { writesPerMachine, type Tail } from '../writes.ts'

/** What one contender did in one round. */
export interface Turn {
  /** From the first create until all are Ready. */
  readonly seconds: number
  /** What it wrote after that. */
  readonly tail: Tail
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

/** What is told of both: the figure's key, what the table calls it, how many decimals it has. */
interface Told {
  readonly key: string
  readonly name: string
  readonly decimals: number
  readonly value: (turn: Turn) => number
}

/**
 * Prints tables, and returns the figures: those without a prefix are Holdfast's. The ratio is of times until the last
 * event is written; `readyRatio` until all are Ready, when one has written more of its events than the other.
 */
export function report({ rounds, machines, say }: Outcome) {
  const of = (contender: Contender, { value, decimals }: Pick<Told, 'value' | 'decimals'>) =>
    round(median(rounds.map((turns) => value(turns[contender]))), decimals)
  const speed = ({ seconds }: Turn) => machines / seconds
  const writtenSpeed = ({ seconds, tail }: Turn) => machines / (seconds + tail.seconds)
  const written = (what: 'onMachine' | 'onDisk' | 'events') => (turn: Turn) =>
    writesPerMachine(turn.writes, machines)[what]
  const told: readonly Told[] = [
    { key: 'vmsPerSecond', name: 'machines a second, until all are Ready', decimals: 1, value: speed },
    { key: 'writtenVmsPerSecond', name: 'until the last event', decimals: 1, value: writtenSpeed },
    { key: 'cpuSeconds', name: 'CPU s', decimals: 2, value: ({ cpuSeconds }) => cpuSeconds },
    { key: 'peakRssMb', name: 'MB at most', decimals: 1, value: ({ peakRssMb }) => peakRssMb },
    {
      key: 'apiServerCpuSeconds',
      name: 'CPU s of the API server',
      decimals: 2,
      value: (turn) => turn.apiServerCpuSeconds,
    },
    {
      key: 'lateEventsPerVm',
      name: 'events a machine after all were Ready',
      decimals: 3,
      value: ({ tail }) => tail.events / machines,
    },
    { key: 'vmWritesPerVm', name: 'writes a machine on it', decimals: 3, value: written('onMachine') },
    { key: 'diskWritesPerVm', name: 'on its Disk', decimals: 3, value: written('onDisk') },
    { key: 'eventsPerVm', name: 'events', decimals: 3, value: written('events') },
  ]
  const each = writtenKeys(rounds, machines).map((key) => ({
    name: `${key} a machine`,
    decimals: 3,
    value: (turn: Turn) => (turn.writes.get(key) ?? 0) / machines,
  }))
  printer(say)([
    [`${machines} machines, median of ${rounds.length}`, 'Holdfast', 'controller-runtime'],
    ...[...told, ...each].map((line) => [line.name, of('holdfast', line), of('controllerRuntime', line)]),
  ])
  const ratios = (by: (turn: Turn) => number) =>
    rounds.map(({ holdfast, controllerRuntime }) => round(by(holdfast) / by(controllerRuntime), 3))
  say(
    `ratios, until the last event: ${ratios(writtenSpeed).join(', ')}; until all are Ready: ${ratios(speed).join(', ')}`,
  )
  return {
    ratio: round(median(ratios(writtenSpeed)), 3),
    readyRatio: round(median(ratios(speed)), 3),
    ...Object.fromEntries(
      told.flatMap((line) => [
        [line.key, of('holdfast', line)],
        [prefixed(line.key), of('controllerRuntime', line)],
      ]),
    ),
    machines,
    rounds: rounds.length,
  }
}

function prefixed(key: string): string {
  return `controllerRuntime${key.charAt(0).toUpperCase()}${key.slice(1)}`
}

/** What either of them wrote for a machine. */
function writtenKeys(rounds: readonly Round[], machines: number): string[] {
  const turns = rounds.flatMap(({ holdfast, controllerRuntime }) => [holdfast, controllerRuntime])
  return [...new Set(turns.flatMap(({ writes }) => [...writesPerMachine(writes, machines).writes.keys()]))].toSorted()
}
