import { sumOf } from '../prometheus.ts'
import { median, printer, round } from '../statistics.ts'
import type { Usage } from '../usage.ts'
import { writesFigures, writesPerMachine, writesRows, type WritesPerMachine } from '../writes.ts'

/** What Holdfast did in one round, and the client that thinks of nothing. */
export interface Round {
  readonly seconds: number
  readonly replaySeconds: number
  readonly deleteSeconds: number
  /** From the start of the controllers, with the machines there that were replayed, until they act on a new one. */
  readonly restartMs: number
  readonly writes: ReadonlyMap<string, number>
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

/** Prints tables, and returns the figures. */
export function report({ rounds, machines, say }: Outcome) {
  const speeds = rounds.map(({ seconds }) => machines / seconds)
  const replays = rounds.map(({ replaySeconds }) => machines / replaySeconds)
  const deletes = rounds.map(({ deleteSeconds }) => machines / deleteSeconds)
  const written = writesPerMachine(together(rounds.map(({ writes }) => writes)), machines * rounds.length)
  const programs = programsOf(rounds)
  const idle = idleOf(rounds)
  const restartMs = median(rounds.map((of) => of.restartMs))
  const print = printer(say)
  print([
    [`${machines} machines`, 'median a second', 'best'],
    speed('the same calls, replayed', replays),
    speed('Holdfast, create to Ready', speeds),
    speed('Holdfast, delete to gone', deletes),
  ])
  showUse(written, programs, say)
  print([
    ['idle for a minute', ''],
    ['writes, Leases apart, at most', idle.most],
    ...idle.writes,
    ['controllers, % of a core', round(idle.cpuPercent, 2)],
  ])
  print([['controllers started again, ms until they act', Math.round(restartMs)]])
  const controllers = programs.find(({ name }) => name === 'controllers')
  return {
    ratio: round(median(rounds.map(({ seconds, replaySeconds }) => replaySeconds / seconds)), 3),
    vmsPerSecond: round(median(speeds), 1),
    replayVmsPerSecond: round(median(replays), 1),
    ...writesFigures(written),
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

function speed(name: string, values: readonly number[]): (string | number)[] {
  return [name, round(median(values), 1), round(Math.max(...values), 1)]
}

function showUse(written: WritesPerMachine, programs: readonly Program[], say: (line: string) => void): void {
  const print = printer(say)
  print(writesRows(written))
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
