import { sumOf } from '../prometheus.ts'
import { printer, round } from '../statistics.ts'
import type { Fill } from './fill.ts'

/** Of which the promise speaks. */
const USUAL = 1_000

/** With so many machines there. */
export interface Figures {
  readonly machines: number
  readonly fill: Fill
  /** What failed in the controllers until so many were there and a few more, by what it is. */
  readonly failures: ReadonlyMap<string, number>
  /** CPU of the controllers for one machine more, of many made at once. */
  readonly cpuMsPerVm: number
  /** The least and the most of all rounds. */
  readonly cpuMsSpread: readonly [least: number, most: number]
  /** Of one reconcile on the mean, while many were made at once. */
  readonly reconcileMs: { readonly virtualMachine: number; readonly disk: number }
  /** From the create of a machine that is made alone until it is Ready. */
  readonly readyMs: number
  readonly restartMs: number
  /** Of the process that was started again, and found them all. */
  readonly rssMb: number
  readonly peakRssMb: number
  /** Of the process that made them. */
  readonly makerPeakRssMb: number
}

export interface Outcome {
  readonly figures: readonly Figures[]
  readonly rounds: number
  readonly say: (line: string) => void
}

/**
 * Prints tables, and returns the figures: lists have one of each number of machines, single ones are of 1,000 machines, or
 * of as many as there were.
 */
export function report({ figures, rounds, say }: Outcome) {
  const { few, usual, many } = landmarks(figures)
  const ratio = round(costOf(many) / costOf(few), 3)
  const errors = figures.map(errorsOf).reduce((sum, count) => sum + count, 0)
  show(figures, say)
  say(`one machine more costs ${ratio} times as much CPU among ${many.machines} as among ${few.machines}`)
  say(errors === 0 ? 'no error' : `${errors} errors`)
  const each = (value: (of: Figures) => number) => figures.map((of) => round(value(of), 1))
  return {
    ratio,
    restartMs: round(usual.restartMs, 0),
    peakRssMb: round(Math.max(usual.peakRssMb, usual.makerPeakRssMb), 0),
    machines: each(({ machines }) => machines),
    cpuMsSpread: figures.map(({ cpuMsSpread }) => cpuMsSpread.map((value) => round(value, 1))),
    cpuMsPerVm: each(({ cpuMsPerVm }) => cpuMsPerVm),
    reconcileMs: {
      virtualMachine: each(({ reconcileMs }) => reconcileMs.virtualMachine),
      disk: each(({ reconcileMs }) => reconcileMs.disk),
    },
    readyMs: each(({ readyMs }) => readyMs),
    restartMsEach: each(({ restartMs }) => restartMs),
    peakRssMbRestarted: each(({ peakRssMb }) => peakRssMb),
    peakRssMbMade: each(({ makerPeakRssMb }) => makerPeakRssMb),
    fillSeconds: each(({ fill }) => fill.seconds),
    fillVmsPerSecond: each(({ fill }) => speedOf(fill)),
    createsAgain: each(({ fill }) => fill.again),
    createsFailed: each(({ fill }) => fill.failed),
    neverReady: each(({ fill }) => fill.neverReady),
    failures: figures.map(({ failures }) => Object.fromEntries(failures)),
    errors,
    rounds,
  }
}

function landmarks(figures: readonly Figures[]): Readonly<Record<'few' | 'usual' | 'many', Figures>> {
  const [few, many] = [figures[0], figures.at(-1)]
  if (!few || !many) throw new Error('there is at least one number of machines')
  return { few, usual: figures.find(({ machines }) => machines === USUAL) ?? many, many }
}

function show(figures: readonly Figures[], say: (line: string) => void): void {
  const print = printer(say)
  const columns: readonly (readonly [string, (of: Figures) => number])[] = [
    ['machines', ({ machines }) => machines],
    ['CPU ms for one more', ({ cpuMsPerVm }) => cpuMsPerVm],
    ['least', ({ cpuMsSpread }) => cpuMsSpread[0]],
    ['most', ({ cpuMsSpread }) => cpuMsSpread[1]],
    ['reconcile ms of it', ({ reconcileMs }) => reconcileMs.virtualMachine],
    ['and of its Disk', ({ reconcileMs }) => reconcileMs.disk],
    ['ms to Ready, one alone', ({ readyMs }) => readyMs],
    ['ms from restart to act', ({ restartMs }) => restartMs],
    ['MB', ({ rssMb }) => rssMb],
    ['MB at most', ({ peakRssMb }) => peakRssMb],
    ['of who made them', ({ makerPeakRssMb }) => makerPeakRssMb],
  ]
  print([columns.map(([name]) => name), ...figures.map((of) => columns.map(([, value]) => round(value(of), 1)))])
  print([
    ['made at once', 'seconds', 'a second', 'sent again', 'given up', 'never Ready', 'failures of the controllers'],
    ...figures.map(fillRow),
  ])
}

/** At least the tenth of a millisecond that figures have, so that there is a ratio of any two. */
function costOf({ cpuMsPerVm }: Figures): number {
  return Math.max(cpuMsPerVm, 0.1)
}

function speedOf({ made, seconds }: Fill): number {
  return seconds > 0 ? made / seconds : 0
}

/** What was sent again and then carried out is none. */
function errorsOf({ fill, failures }: Figures): number {
  return fill.failed + fill.neverReady + sumOf(failures)
}

function fillRow({ fill, failures }: Figures): (string | number)[] {
  const failed = [...failures].map(([what, count]) => `${what}: ${count}`).join(', ')
  return [
    fill.made,
    round(fill.seconds, 1),
    round(speedOf(fill), 1),
    fill.again,
    fill.failed,
    fill.neverReady,
    failed === '' ? 'none' : failed,
  ]
}
