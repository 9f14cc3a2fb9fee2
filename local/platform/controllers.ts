import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { nodeProgram } from '../processes/node-program.ts'
import { supervise, type Observer, type Supervised } from '../processes/supervise.ts'
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

/** Processes of the controllers that are supervised together. One of them leads, and the others follow. */
export interface LocalControllers {
  /** Has them read their files anew. */
  restart(): void
  stop(): Promise<void>
}

/** Names of that many processes of the controllers, as they are shown. */
export function controllersNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => (index === 0 ? 'controllers' : `controllers-${index + 1}`))
}

/** Starts the controllers. One of them works once it has read what the cluster holds. */
export async function startControllers(count: number, options: ControllersOptions): Promise<LocalControllers> {
  const running: Supervised[] = []
  const stop = async () => {
    await Promise.all(running.map((child) => child.stop()))
  }
  await using undo = new AsyncDisposableStack()
  undo.defer(stop)
  for (const name of controllersNames(count)) running.push(await startOne(name, options))
  undo.move()
  return {
    restart() {
      for (const child of running) child.restart()
    },
    stop,
  }
}

async function startOne(name: string, options: ControllersOptions): Promise<Supervised> {
  const { kubeconfig, agentTls, logs, logLevel, observer } = options
  const env = {
    HOLDFAST_KUBECONFIG: kubeconfig,
    HOLDFAST_AGENT_CA: agentTls.ca,
    HOLDFAST_AGENT_CLIENT_CERT: agentTls.certificate,
    HOLDFAST_AGENT_CLIENT_KEY: agentTls.key,
    ...(logLevel !== undefined && { HOLDFAST_LOG_LEVEL: logLevel }),
  }
  const logPath = join(logs, `${name}.log`)
  return supervise({ name, ...nodeProgram(MAIN, env), logPath, graceMs: GRACE_MS }, observer)
}
