import type { Kube } from '../../lib/kube/client.ts'
import { pidsOf } from '../usage.ts'
import { createMachine, type Population } from './machines.ts'

/** A platform whose controllers can be taken away. */
interface Stage {
  readonly kube: Kube
  readonly home: string
  readonly population: Population
}

/** Does work while the platform has no controllers. Afterwards new ones lead, and a machine `probe` was made by them. */
export async function withoutControllers<T>({ home, kube, population }: Stage, work: () => Promise<T>): Promise<T> {
  const pids = await pidsOf(home)
  const supervisor = pids.get('supervisor') ?? 0
  process.kill(supervisor, 'SIGSTOP') // It would start them again. Were they frozen, their watches would hold up the server.
  process.kill(pids.get('controllers') ?? 0, 'SIGKILL')
  try {
    return await work()
  } finally {
    process.kill(supervisor, 'SIGCONT')
    await createMachine(kube, 'probe')
    await population.untilMachine('probe', ({ status }) => status?.host !== undefined)
  }
}
