import type { AgentHome } from '../home.ts'
import { prepareIdentities } from './agent.ts'
import type { Cluster } from './cluster.ts'
import type { LocalControllers } from './controllers.ts'

export interface Renewed {
  readonly cluster: Pick<Cluster, 'renew'>
  readonly controllers: Pick<LocalControllers, 'restart'>
  readonly agents: AgentHome
  readonly say: (line: string) => void
}

const DAY_MS = 24 * 3600 * 1000

/** Looks every day at what expires, for a platform that runs longer than a certificate lives. */
export function keepRenewed({ cluster, controllers, agents, say }: Renewed): Disposable {
  let last: string | undefined
  const look = async () => {
    await cluster.renew()
    const { controllers: current } = await prepareIdentities(agents.pki)
    // They read their certificate when they start.
    if (last !== undefined && current.certificate !== last) controllers.restart()
    last = current.certificate
  }
  const tryLook = () => look().catch((error: unknown) => say(`certificates could not be renewed: ${String(error)}`))
  void tryLook()
  const timer = setInterval(() => void tryLook(), DAY_MS)
  return { [Symbol.dispose]: () => clearInterval(timer) }
}
