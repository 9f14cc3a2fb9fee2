/** What every benchmark is called with. */
export interface BenchOptions {
  readonly rounds: number
  /** How many machines, where that is a question. */
  readonly machines: number
  readonly env: NodeJS.ProcessEnv
  readonly say: (line: string) => void
}
