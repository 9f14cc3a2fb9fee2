import type { Kube } from '../../lib/kube/client.ts'
import { isReady, NeverCame } from '../followed.ts'
import { createPatiently, inParallel, isPassing, type Population } from '../scale/machines.ts'

const LANES = 50
const SIZES = [100, 1_000, 10_000]
const PREFIX = 'vm-'

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

/** Among how many machines is measured, when there are to be so many at most: of those too. */
export function sizesUpTo(machines: number): number[] {
  return [...SIZES.filter((size) => size < machines), machines]
}

/** Makes machines until there are so many. What goes wrong is counted, and does not end it. */
export async function fillUpTo(size: number, kube: Kube, population: Population): Promise<Fill> {
  const before = ofFill(population).length
  const missing = size - population.machines().length
  let [again, failed] = [0, 0]
  const startedAt = performance.now()
  await inParallel(missing, LANES, async (index) => {
    try {
      again += await createPatiently(kube, `${PREFIX}${size}-${index}`)
    } catch (error) {
      if (!isPassing(error)) throw error // A create that is refused is a mistake of this benchmark.
      failed++
    }
  })
  const made = missing - failed
  try {
    await population.untilReady(PREFIX, before + made)
  } catch (error) {
    if (!(error instanceof NeverCame)) throw error
  }
  const seconds = (performance.now() - startedAt) / 1000
  const neverReady = ofFill(population).filter((vm) => !isReady(vm)).length
  return { made, seconds, again, failed, neverReady }
}

function ofFill(population: Population) {
  return population.machines().filter(({ metadata }) => metadata.name.startsWith(PREFIX))
}
