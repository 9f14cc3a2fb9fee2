import type { Kube } from '../../lib/kube/client.ts'
import { onInterruption } from '../interruption.ts'
import { sinceNextControllers } from '../next-controllers.ts'
import { pidOf } from '../usage.ts'
import { createMachine, type Population } from './machines.ts'

/** A platform whose controllers can be taken away. */
interface Stage {
  readonly kube: Kube
  readonly home: string
  readonly population: Population
}

/**
 * Does work while the platform has no controllers. Afterwards new ones lead, and a machine `probe` was made by them: how
 * long that took, with all there that was made.
 */
export async function withoutControllers<T>({ home, kube, population }: Stage, work: () => Promise<T>) {
  const [supervisor, controllers] = [await pidOf(home, 'supervisor'), await pidOf(home, 'controllers')]
  const resume = () => void process.kill(supervisor, 'SIGCONT')
  using _ = onInterruption(resume)
  process.kill(supervisor, 'SIGSTOP') // It would start them again. Were they frozen, their watches would hold up the server.
  process.kill(controllers, 'SIGKILL')
  try {
    const result = await work()
    await createMachine(kube, 'probe')
    const placed = population.untilMachine('probe', ({ status }) => status?.host !== undefined)
    resume()
    return { result, restartMs: await sinceNextControllers(home, controllers, placed) }
  } finally {
    resume()
  }
}
