import { join } from 'node:path'
import { withLifeline, type ProgramSpec } from './supervise.ts'

/** Beside the packages: whoever may write there may change the programs as well. */
const COMPILED = join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'holdfast-compiled')

/**
 * V8 by default lets young objects take 100 MB before it looks at them, and the old ones double before it looks at those.
 * Measured with the controllers, 1,000 machines made at once: 142 instead of 297 MiB at most, for a tenth more CPU. To look
 * at so few young objects, one thread needs less than four that wait for each other.
 */
const SMALL_HEAP = ['--max-semi-space-size=4', '--heap-growing-percent=20', '--no-parallel-scavenge']

/**
 * How one of our programs is run: by this Node, and ended with this process. What Node makes of the source is kept, so
 * that later starts need neither the time for it nor the memory of the compiler.
 */
export function nodeProgram(
  main: string,
  env: NodeJS.ProcessEnv,
): Pick<ProgramSpec, 'command' | 'args' | 'cwd' | 'env'> {
  return {
    ...withLifeline(process.execPath, [...SMALL_HEAP, main]),
    cwd: '/',
    // glibc else keeps memory apart for every thread.
    env: { ...env, NODE_COMPILE_CACHE: COMPILED, MALLOC_ARENA_MAX: '2' },
  }
}
