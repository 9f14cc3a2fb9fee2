/** What every benchmark is called with. */
export interface BenchOptions {
  readonly rounds: number
  /** How many machines, where that is a question. */
  readonly machines: number
  readonly env: NodeJS.ProcessEnv
  readonly say: (line: string) => void
}

/** What a count may be. */
export interface Range {
  readonly usual: number
  readonly least: number
  readonly most: number
}

/** Undefined where a benchmark measures one machine at a time. */
export type Machines = Range | undefined

/** The usual count unless another one is asked for. Throws a sentence about one that is none, or out of its range. */
export function readCount(option: string, text: string | undefined, { usual, least, most }: Range): number {
  if (text === undefined) return usual
  const count = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (count >= least && count <= most) return count
  throw new Error(`${option} ${text}: it has to be a number of ${least} to ${most}`)
}

/** Of the benchmark of this name; 1 where that is no question. */
export function readMachines(name: string, text: string | undefined, machines: Machines): number {
  if (machines) return readCount('--machines', text, machines)
  if (text === undefined) return 1
  throw new Error(`--machines ${text}: ${name} measures one machine at a time`)
}
