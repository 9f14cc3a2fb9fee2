/** What every benchmark is called with. */
export interface BenchOptions {
  readonly rounds: number
  readonly env: NodeJS.ProcessEnv
  readonly say: (line: string) => void
}
