import { median, percentile, printer, round } from '../statistics.ts'
import type { Sample } from './load.ts'

/** The same questions to both. */
export interface Pair {
  readonly floor: Sample
  readonly ours: Sample
}

/** One question at a time, and many. */
export interface Played {
  readonly alone: Pair
  readonly together: Pair
}

export interface Outcome {
  readonly played: readonly Played[]
  /** Next to the same calls to the API server, in place of a webhook that allows everything. */
  readonly deletes: Played
  /** Of our webhooks: after creates and updates, and after deletes too. */
  readonly peakRssMb: { readonly writes: number; readonly all: number }
  readonly lanes: number
  readonly machines: number
  readonly say: (line: string) => void
}

const SHARES = [50, 90, 99] as const

/** Prints tables, and returns the figures: medians of the rounds. */
export function report({ played, deletes, peakRssMb, lanes, machines, say }: Outcome) {
  const print = printer(say)
  const alone = played.map((pairs) => pairs.alone)
  const together = played.map((pairs) => pairs.together)
  const header = ['p50 ms', 'p90 ms', 'p99 ms', 'a second', 'refused']
  print([
    ['creates and updates', ...header],
    row(
      'allows everything, 1 at a time',
      alone.map(({ floor }) => floor),
    ),
    row(
      'Holdfast, 1 at a time',
      alone.map(({ ours }) => ours),
    ),
    row(
      `allows everything, ${lanes} at once`,
      together.map(({ floor }) => floor),
    ),
    row(
      `Holdfast, ${lanes} at once`,
      together.map(({ ours }) => ours),
    ),
  ])
  print([
    ['deletes: brake and entry are read and written', ...header],
    row('the same calls to the API server, 1 at a time', [deletes.alone.floor]),
    row('Holdfast, 1 at a time', [deletes.alone.ours]),
    row(`the same calls to the API server, ${lanes} at once`, [deletes.together.floor]),
    row(`Holdfast, ${lanes} at once`, [deletes.together.ours]),
  ])
  print([
    ['ratio to the floor', 'p50', 'p90', 'p99'],
    ratios('creates and updates, 1 at a time', alone),
    ratios(`creates and updates, ${lanes} at once`, together),
    ratios('deletes, 1 at a time', [deletes.alone]),
    ratios(`deletes, ${lanes} at once`, [deletes.together]),
  ])
  print([
    [`webhooks among ${machines} machines`, 'MB at most'],
    ['after creates and updates', Math.round(peakRssMb.writes)],
    ['after deletes', Math.round(peakRssMb.all)],
  ])
  return {
    ...figures(alone, ''),
    ...figures(together, `At${lanes}`),
    deleteP50Ratio: round(ratioOf([deletes.alone], 50), 3),
    [`deleteP50RatioAt${lanes}`]: round(ratioOf([deletes.together], 50), 3),
    deletesRefused: deletes.alone.ours.refused + deletes.together.ours.refused,
    deleteP50Ms: round(percentile(deletes.alone.ours.latenciesMs, 50), 2),
    [`deleteP50MsAt${lanes}`]: round(percentile(deletes.together.ours.latenciesMs, 50), 2),
    peakRssMb: Math.round(peakRssMb.all),
    machines,
    rounds: played.length,
  }
}

function row(name: string, samples: readonly Sample[]): (string | number)[] {
  const speeds = samples.map(({ latenciesMs, seconds }) => latenciesMs.length / seconds)
  const refused = samples.reduce((sum, sample) => sum + sample.refused, 0)
  return [name, ...SHARES.map((percent) => round(latencyOf(samples, percent), 3)), Math.round(median(speeds)), refused]
}

function ratios(name: string, pairs: readonly Pair[]): (string | number)[] {
  return [name, ...SHARES.map((percent) => round(ratioOf(pairs, percent), 2))]
}

function latencyOf(samples: readonly Sample[], percent: number): number {
  return median(samples.map(({ latenciesMs }) => percentile(latenciesMs, percent)))
}

/** How much longer ours takes than the floor, at so many percent of the answers: the median of several rounds. */
export function ratioOf(pairs: readonly Pair[], percent: number): number {
  return median(
    pairs.map(({ floor, ours }) => percentile(ours.latenciesMs, percent) / percentile(floor.latenciesMs, percent)),
  )
}

/** With `suffix` at the end of each name. */
function figures(pairs: readonly Pair[], suffix: string): Record<string, number> {
  const [floor, ours] = [pairs.map((pair) => pair.floor), pairs.map((pair) => pair.ours)]
  return Object.fromEntries(
    SHARES.flatMap((percent) => [
      [`p${percent}Ratio${suffix}`, round(ratioOf(pairs, percent), 3)],
      [`p${percent}Ms${suffix}`, round(latencyOf(ours, percent), 3)],
      [`floorP${percent}Ms${suffix}`, round(latencyOf(floor, percent), 3)],
    ]),
  )
}
