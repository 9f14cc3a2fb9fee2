import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { supervise, withLifeline, type Observer, type Supervised } from '../processes/supervise.ts'
import type { AgentTls } from './agent.ts'

const MAIN = fileURLToPath(new URL('../../controllers/main.ts', import.meta.url))
const GRACE_MS = 10_000

export interface ControllersOptions {
  readonly kubeconfig: string
  readonly agentTls: AgentTls
  readonly logs: string
  readonly logLevel: string | undefined
  readonly observer: Observer
}

/** Starts the controllers. They work once they have read what the cluster holds. */
export async function startControllers(options: ControllersOptions): Promise<Supervised> {
  const { kubeconfig, agentTls, logs, logLevel, observer } = options
  const env = {
    HOLDFAST_KUBECONFIG: kubeconfig,
    HOLDFAST_AGENT_CA: agentTls.ca,
    HOLDFAST_AGENT_CLIENT_CERT: agentTls.certificate,
    HOLDFAST_AGENT_CLIENT_KEY: agentTls.key,
    ...(logLevel !== undefined && { HOLDFAST_LOG_LEVEL: logLevel }),
  }
  const logPath = join(logs, 'controllers.log')
  const command = withLifeline(process.execPath, [MAIN])
  return supervise({ name: 'controllers', ...command, cwd: '/', env, logPath, graceMs: GRACE_MS }, observer)
}
