import { median, printer, round } from '../statistics.ts'

/** What a host can be. */
export type Trouble = 'slow' | 'dead' | 'flooding'

/** Who is in trouble: nobody, one host, or one of each kind. */
export const CASES = ['well', 'slow', 'dead', 'flooding', 'together'] as const
export type Case = (typeof CASES)[number]

/** Machines that were made on the other hosts. */
export interface Run {
  readonly vmsPerSecond: number
  /** CPU of the benchmark itself meanwhile, which creates them, delays and floods: on the same cores. */
  readonly benchCpuSeconds: number
  /** How long reconciles waited for answers of the three hosts that can be in trouble, all together. */
  readonly waitedSeconds: number
}

export type Round = Readonly<Record<Case, Run>>

export interface Outcome {
  readonly rounds: readonly Round[]
  readonly machines: number
  /** How many others. */
  readonly hosts: number
  readonly say: (line: string) => void
}

/** As they are told. */
export const NAMES: Readonly<Record<Case, string>> = {
  well: 'all hosts are well',
  slow: 'one other takes 2 s for an answer',
  dead: 'one other is dead',
  flooding: 'one other floods events',
  together: 'three others are slow, dead, flooding',
}

/** Prints a table, and returns the figures: ratios to the speed of the same round when all hosts are well. */
export function report({ rounds, machines, hosts, say }: Outcome) {
  const middle = (name: Case, figure: keyof Run) => median(rounds.map((played) => played[name][figure]))
  const ratios = (name: Case) => rounds.map((all) => all[name].vmsPerSecond / all.well.vmsPerSecond)
  const ratio = (name: Case) => round(median(ratios(name)), 3)
  const spread = (name: Case) => [Math.min(...ratios(name)), Math.max(...ratios(name))].map((value) => round(value, 3))
  printer(say)([
    [
      `${machines} machines on ${hosts} hosts`,
      'median a second',
      'ratio',
      'least to most',
      "benchmark's own CPU s",
      'waited for the three, s',
    ],
    ...CASES.map((name) => [
      NAMES[name],
      round(middle(name, 'vmsPerSecond'), 1),
      ratio(name),
      spread(name).join(' to '),
      round(middle(name, 'benchCpuSeconds'), 1),
      round(middle(name, 'waitedSeconds'), 1),
    ]),
  ])
  const each = (figure: keyof Run) =>
    Object.fromEntries(CASES.map((name) => [name, round(middle(name, figure), 1)] as const))
  return {
    ratio: ratio('together'),
    slow: ratio('slow'),
    dead: ratio('dead'),
    flooding: ratio('flooding'),
    spread: Object.fromEntries(CASES.map((name) => [name, spread(name)] as const)),
    vmsPerSecond: round(middle('together', 'vmsPerSecond'), 1),
    vmsPerSecondBy: each('vmsPerSecond'),
    benchCpuSeconds: each('benchCpuSeconds'),
    waitedSeconds: each('waitedSeconds'),
    machines,
    rounds: rounds.length,
  }
}
