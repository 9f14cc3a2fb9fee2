import { setTimeout as sleep } from 'node:timers/promises'
import type { Kube } from '../../lib/kube/client.ts'
import { isReady } from '../followed.ts'
import { createPatiently, inParallel, isPassing, type Population } from '../scale/machines.ts'

const LANES = 50
const SIZES = [100, 1_000, 10_000]
const PREFIX = 'vm-'
/** Machines that are not Ready by then never are. */
const LIMIT_MS = 3_600_000

/** How many machines were made at once, and what went wrong. */
export interface Fill {
  readonly made: number
  /** From the first create until all are Ready. */
  readonly seconds: number
  /** Creates that admission had no time for, or whose answer was lost, and that were sent again. */
  readonly again: number
  /** Creates that were given up. */
  readonly failed: number
  readonly neverReady: number
}

/** Among how many machines is measured, when there are to be so many at most. */
export function sizesUpTo(machines: number): number[] {
  const sizes = SIZES.filter((size) => size <= machines)
  return sizes.length > 0 ? sizes : [machines]
}

/** Makes machines `from` to `to - 1`. What goes wrong is counted, and does not end it. */
export async function fill(
  kube: Kube,
  population: Population,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<Fill> {
  const before = ofFill(population).length
  let [again, failed] = [0, 0]
  const startedAt = performance.now()
  await inParallel(to - from, LANES, async (index) => {
    try {
      again += await createPatiently(kube, `${PREFIX}${from + index}`)
    } catch (error) {
      if (!isPassing(error)) throw error // A create that is refused is a mistake of this benchmark.
      failed++
    }
  })
  const made = to - from - failed
  const all = population.untilReady(PREFIX, before + made)
  await Promise.race([all, sleep(LIMIT_MS, undefined, { ref: false })])
  const seconds = (performance.now() - startedAt) / 1000
  const neverReady = ofFill(population).filter((vm) => !isReady(vm)).length
  return { made, seconds, again, failed, neverReady }
}

function ofFill(population: Population) {
  return population.machines().filter(({ metadata }) => metadata.name.startsWith(PREFIX))
}
