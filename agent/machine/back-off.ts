/** A machine that ran for this long starts again with the shortest delay. */
export const STABLE_AFTER_MS = 10 * 60_000

const FIRST_DELAY_MS = 1000
/** No machine waits longer between two starts. */
export const LONGEST_DELAY_MS = 5 * 60_000

/** How long to wait before the next start after so many failures in a row: 1 s, 2 s, 4 s, up to 5 min. */
export function backOffMs(failures: number): number {
  return Math.min(FIRST_DELAY_MS * 2 ** Math.max(0, failures - 1), LONGEST_DELAY_MS)
}
