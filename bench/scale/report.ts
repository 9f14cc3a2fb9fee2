import { median, printer, round } from '../statistics.ts'
import type { Usage } from '../usage.ts'

/** What Holdfast did in one round. */
export interface Round {
  readonly seconds: number
  readonly replaySeconds: number
  readonly deleteSeconds: number
  readonly writes: ReadonlyMap<string, number>
  /** CPU seconds by program while the machines were made. */
  readonly cpuSeconds: ReadonlyMap<string, number>
}

export interface Outcome {
  readonly rounds: readonly Round[]
  readonly machines: number
  readonly idle: { readonly writes: ReadonlyMap<string, number>; readonly cpuPercent: number }
  /** By program, with all machines there. */
  readonly usage: ReadonlyMap<string, Usage>
  readonly say: (line: string) => void
}

/** Prints tables, and returns the figures. */
export function report({ rounds, machines, idle, usage, say }: Outcome) {
  const print = printer(say)
  const speeds = rounds.map(({ seconds }) => machines / seconds)
  const replays = rounds.map(({ replaySeconds }) => machines / replaySeconds)
  const ratio = median(rounds.map(({ seconds, replaySeconds }) => replaySeconds / seconds))
  const speed = (name: string, values: readonly number[]) => [
    name,
    round(median(values), 1),
    round(Math.max(...values), 1),
  ]
  print([
    [`${machines} machines`, 'median a second', 'best'],
    speed('the same calls, replayed', replays),
    speed('Holdfast, create to Ready', speeds),
    speed(
      'Holdfast, delete to gone',
      rounds.map(({ deleteSeconds }) => machines / deleteSeconds),
    ),
  ])
  const last = rounds.at(-1)
  const each = [...(last?.writes ?? [])].map(([key, count]) => [key, round(count / machines, 3)] as const)
  print([['API writes a machine', ''], ...each])
  const programs = [...usage].map(([name, { peakRssMb, rssMb }]) => [
    name,
    round(last?.cpuSeconds.get(name) ?? 0, 1),
    Math.round(rssMb),
    Math.round(peakRssMb),
  ])
  print([['program', 'CPU s while made', 'MB now', 'MB at most'], ...programs])
  const idleWrites = [...idle.writes.values()].reduce((sum, count) => sum + count, 0)
  print([
    ['idle for a minute', ''],
    ['writes, Leases apart', idleWrites],
    ['controllers, % of a core', round(idle.cpuPercent, 2)],
  ])
  const writes = (pattern: RegExp) =>
    each.filter(([key]) => pattern.test(key)).reduce((sum, [, count]) => sum + count, 0)
  const controllers = usage.get('controllers')
  return {
    ratio: round(ratio, 3),
    vmsPerSecond: round(median(speeds), 1),
    replayVmsPerSecond: round(median(replays), 1),
    writesPerVm: round(writes(/^(APPLY|PATCH|PUT) virtualmachines/), 3),
    diskWritesPerVm: round(writes(/ disks/), 3),
    eventsPerVm: round(writes(/ events/), 3),
    peakRssMb: Math.round(controllers?.peakRssMb ?? 0),
    cpuSeconds: round(median(rounds.map(({ cpuSeconds }) => cpuSeconds.get('controllers') ?? 0)), 2),
    idleWrites,
    idleCpuPercent: round(idle.cpuPercent, 2),
    deleteSeconds: round(median(rounds.map(({ deleteSeconds }) => deleteSeconds)), 1),
    machines,
    rounds: rounds.length,
  }
}
