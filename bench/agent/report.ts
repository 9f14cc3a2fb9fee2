import { median, round, table } from '../statistics.ts'
import type { Usage } from '../usage.ts'

/** What was used in a minute in which nobody wanted anything. */
export interface Minute {
  /** Percent of a core. */
  readonly agent: number
  /** Of all guests together. */
  readonly guests: number
}

export interface Outcome {
  readonly minutes: readonly Minute[]
  readonly usage: Usage
  readonly guests: number
  readonly say: (line: string) => void
}

/** Prints a table, and returns the figures. */
export function report({ minutes, usage, guests, say }: Outcome) {
  const [idle, spent] = [median(minutes.map(({ agent }) => agent)), median(minutes.map((of) => of.guests))]
  for (const line of table([
    [`agent with ${guests} guests that do nothing`, ''],
    ['% of a core, median minute', round(idle, 2)],
    ['MB now', round(usage.rssMb, 1)],
    ['MB at most', round(usage.peakRssMb, 1)],
    ['all guests together, % of a core', round(spent, 1)],
  ]))
    say(line)
  return {
    peakRssMb: round(usage.peakRssMb, 1),
    rssMb: round(usage.rssMb, 1),
    idleCpuPercent: round(idle, 3),
    guests,
    guestsCpuPercent: round(spent, 1),
    rounds: minutes.length,
  }
}
