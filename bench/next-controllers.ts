import { setTimeout as sleep } from 'node:timers/promises'
import { pidsOf } from './usage.ts'

const LOOK_MS = 10
const LIMIT_MS = 120_000

/**
 * Milliseconds from the start of the controllers' next process until what is waited for. `pid` is that of the last one.
 * Who is killed again and again is left off for longer and longer: that is not what is measured.
 */
export async function sinceNextControllers(home: string, pid: number, acted: Promise<unknown>): Promise<number> {
  const deadline = performance.now() + LIMIT_MS
  while ([pid, undefined].includes((await pidsOf(home)).get('controllers'))) {
    if (performance.now() > deadline) throw new Error('the controllers are not started again')
    await sleep(LOOK_MS)
  }
  const startedAt = performance.now()
  await acted
  return performance.now() - startedAt
}
