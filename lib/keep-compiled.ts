import { flushCompileCache } from 'node:module'

/** By then all is loaded that a start needs. */
const AFTER_MS = 15_000

/**
 * Has Node keep what it compiled, where NODE_COMPILE_CACHE says, while the process runs. By itself it does so at the end, and
 * a process that is killed has none.
 */
export function keepCompiled(): void {
  setTimeout(flushCompileCache, AFTER_MS).unref()
}
