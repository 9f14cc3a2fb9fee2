import { sumOf } from '../prometheus.ts'
import { median, printer, round } from '../statistics.ts'
import type { Usage } from '../usage.ts'
import { writesFigures, writesPerMachine, writesRows, type Tail, type WritesPerMachine } from '../writes.ts'

/** What Holdfast did in one round, and the client that thinks of nothing. */
export interface Round {
  /** From the first create until all are Ready. */
  readonly seconds: number
  /** What was written after that. */
  readonly tail: Tail
  /** Until all is written, events too. */
  readonly replaySeconds: number
  readonly deleteSeconds: number
  /** From the start of the controllers, with the machines there that were replayed, until they act on a new one. */
  readonly restartMs: number
  readonly writes: ReadonlyMap<string, number>
  /** What failed in the controllers while the machines were made, by what it is. */
  readonly failures: ReadonlyMap<string, number>
  /** CPU seconds by program while the machines were made. */
  readonly cpuSeconds: ReadonlyMap<string, number>
  readonly idle: { readonly writes: ReadonlyMap<string, number>; readonly cpuPercent: number }
  /** By program, with all machines there. */
  readonly usage: ReadonlyMap<string, Usage>
}

export interface Outcome {
  readonly rounds: readonly Round[]
  readonly machines: number
  readonly say: (line: string) => void
}

interface Program {
  readonly name: string
  readonly cpuSeconds: number
  readonly rssMb: number
  readonly peakRssMb: number
}

/**
 * Prints tables, and returns the figures. The ratio is of times until all is written, events too, as it is for the replay;
 * `readyRatio` is of ours until all are Ready, which leaves out the events that come after.
 */
export function report({ rounds, machines, say }: Outcome) {
  const print = printer(say)
  const { rows, figures } = speedsOf(rounds, machines)
  print(rows)
  const writes = writesPerMachine(together(rounds.map((of) => of.writes)), machines * rounds.length)
  const programs = programsOf(rounds)
  const idle = idleOf(rounds)
  const restartMs = median(rounds.map((of) => of.restartMs))
  showUse(writes, programs, say)
  print([
    ['idle for a minute', ''],
    ['writes, Leases apart, at most', idle.most],
    ...idle.writes,
    ['controllers, % of a core', round(idle.cpuPercent, 2)],
  ])
  print([['controllers started again, ms until they act', Math.round(restartMs)]])
  const failures = together(rounds.map((of) => of.failures))
  say(sumOf(failures) === 0 ? 'no failure of the controllers' : `failures of the controllers: ${inWords(failures)}`)
  const controllers = programs.find(({ name }) => name === 'controllers')
  return {
    ...figures,
    lateEventsPerVm: round(median(rounds.map(({ tail }) => tail.events)) / machines, 3),
    failures: Object.fromEntries(failures),
    ...writesFigures(writes),
    peakRssMb: Math.round(controllers?.peakRssMb ?? 0),
    peakRssMbBy: by(programs, ({ peakRssMb }) => Math.round(peakRssMb)),
    cpuSeconds: round(controllers?.cpuSeconds ?? 0, 2),
    cpuSecondsBy: by(programs, ({ cpuSeconds }) => round(cpuSeconds, 2)),
    idleWrites: idle.most,
    idleWritesBy: Object.fromEntries(idle.writes),
    idleCpuPercent: round(idle.cpuPercent, 2),
    restartMs: Math.round(restartMs),
    deleteSeconds: round(median(rounds.map(({ deleteSeconds }) => deleteSeconds)), 1),
    machines,
    rounds: rounds.length,
  }
}

function speedsOf(rounds: readonly Round[], machines: number) {
  const speeds = rounds.map(({ seconds }) => machines / seconds)
  const written = rounds.map((of) => machines / writtenSeconds(of))
  const replays = rounds.map(({ replaySeconds }) => machines / replaySeconds)
  const deletes = rounds.map(({ deleteSeconds }) => machines / deleteSeconds)
  const rows = [
    [`${machines} machines`, 'median a second', 'best'],
    speed('the same calls, replayed', replays),
    speed('Holdfast, create to Ready', speeds),
    speed('Holdfast, create to its last event', written),
    speed('Holdfast, delete to gone', deletes),
  ]
  const figures = {
    ratio: round(median(rounds.map((of) => of.replaySeconds / writtenSeconds(of))), 3),
    readyRatio: round(median(rounds.map(({ seconds, replaySeconds }) => replaySeconds / seconds)), 3),
    vmsPerSecond: round(median(speeds), 1),
    writtenVmsPerSecond: round(median(written), 1),
    replayVmsPerSecond: round(median(replays), 1),
  }
  return { rows, figures }
}

function writtenSeconds({ seconds, tail }: Round): number {
  return seconds + tail.seconds
}

function inWords(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([what, count]) => `${what}: ${count}`).join(', ')
}

function speed(name: string, values: readonly number[]): (string | number)[] {
  return [name, round(median(values), 1), round(Math.max(...values), 1)]
}

function showUse(writes: WritesPerMachine, programs: readonly Program[], say: (line: string) => void): void {
  const print = printer(say)
  print(writesRows(writes))
  print([
    ['program', 'CPU s while made', 'MB now', 'MB at most'],
    ...programs.map(({ name, cpuSeconds, rssMb, peakRssMb }) => [
      name,
      round(cpuSeconds, 1),
      Math.round(rssMb),
      Math.round(peakRssMb),
    ]),
  ])
}

/** Of each program the median of its CPU seconds, its memory at last, and the most that it ever was. */
function programsOf(rounds: readonly Round[]): Program[] {
  return [...(rounds.at(-1)?.usage ?? [])].map(([name, { rssMb }]) => ({
    name,
    cpuSeconds: median(rounds.map(({ cpuSeconds }) => cpuSeconds.get(name) ?? 0)),
    rssMb,
    peakRssMb: Math.max(...rounds.map(({ usage }) => usage.get(name)?.peakRssMb ?? 0)),
  }))
}

/** Writes of all idle minutes, how many there were in one of them at most, and CPU in that of the middle. */
function idleOf(rounds: readonly Round[]) {
  const minutes = rounds.map(({ idle }) => idle)
  return {
    writes: [...together(minutes.map(({ writes }) => writes))],
    most: Math.max(...minutes.map(({ writes }) => sumOf(writes))),
    cpuPercent: median(minutes.map(({ cpuPercent }) => cpuPercent)),
  }
}

function together(all: readonly ReadonlyMap<string, number>[]): Map<string, number> {
  const sums = new Map<string, number>()
  for (const [key, count] of all.flatMap((counts) => [...counts])) sums.set(key, (sums.get(key) ?? 0) + count)
  return sums
}

function by(programs: readonly Program[], figure: (of: Program) => number): Record<string, number> {
  return Object.fromEntries(programs.map((program) => [program.name, figure(program)]))
}
