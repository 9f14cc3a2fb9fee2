import { sumOf } from '../prometheus.ts'
import { round, table } from '../statistics.ts'
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
  /** Of one reconcile on the mean, while many were made at once. */
  readonly reconcileMs: { readonly virtualMachine: number; readonly disk: number }
  /** From the create of a machine that is made alone until it is Ready. */
  readonly readyMs: number
  readonly restartMs: number
  readonly rssMb: number
  readonly peakRssMb: number
}

export interface Outcome {
  readonly figures: readonly Figures[]
  readonly rounds: number
  readonly say: (line: string) => void
}

/** Prints tables, and returns the figures: lists have one of each number of machines. */
export function report({ figures, rounds, say }: Outcome) {
  const print = (rows: readonly (readonly (string | number)[])[]) => {
    for (const line of table(rows)) say(line)
    say('')
  }
  const columns: readonly (readonly [string, (of: Figures) => number])[] = [
    ['machines', ({ machines }) => machines],
    ['CPU ms for one more', ({ cpuMsPerVm }) => cpuMsPerVm],
    ['reconcile ms of it', ({ reconcileMs }) => reconcileMs.virtualMachine],
    ['and of its Disk', ({ reconcileMs }) => reconcileMs.disk],
    ['ms to Ready, one alone', ({ readyMs }) => readyMs],
    ['ms from restart to act', ({ restartMs }) => restartMs],
    ['MiB', ({ rssMb }) => rssMb],
    ['MiB at most', ({ peakRssMb }) => peakRssMb],
  ]
  print([columns.map(([name]) => name), ...figures.map((of) => columns.map(([, value]) => round(value(of), 1)))])
  print([
    ['made at once', 'seconds', 'a second', 'sent again', 'given up', 'never Ready', 'failures of the controllers'],
    ...figures.map(fillRow),
  ])
  const each = (value: (of: Figures) => number) => figures.map((of) => round(value(of), 1))
  const usual = figures.find(({ machines }) => machines === USUAL)
  const errors = figures.map(errorsOf).reduce((sum, count) => sum + count, 0)
  say(errors === 0 ? 'no error' : `${errors} errors`)
  return {
    restartMs: round(usual?.restartMs ?? Number.NaN, 0),
    peakRssMb: round(usual?.peakRssMb ?? Number.NaN, 0),
    machines: each(({ machines }) => machines),
    cpuMsPerVm: each(({ cpuMsPerVm }) => cpuMsPerVm),
    reconcileMs: {
      virtualMachine: each(({ reconcileMs }) => reconcileMs.virtualMachine),
      disk: each(({ reconcileMs }) => reconcileMs.disk),
    },
    readyMs: each(({ readyMs }) => readyMs),
    restartMsEach: each(({ restartMs }) => restartMs),
    peakRssMbEach: each(({ peakRssMb }) => peakRssMb),
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
