import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isNameOf } from '../../lib/process-name.ts'
import { metricsPortFile, type Home } from '../home.ts'
import { keepPort } from '../processes/kept-port.ts'
import { nodeProgram } from '../processes/node-program.ts'
import { supervise, type Observer, type Supervised } from '../processes/supervise.ts'
import { metricsReaders, type AgentTls } from './agent.ts'
import { ADDRESS } from './hosts.ts'

const MAIN = fileURLToPath(new URL('../../controllers/main.ts', import.meta.url))
const GRACE_MS = 10_000

export interface ControllersOptions {
  readonly kubeconfig: string
  readonly agentTls: AgentTls
  /** What their metrics are served with. */
  readonly serverTls: Pick<AgentTls, 'certificate' | 'key'>
  readonly home: Pick<Home, 'root'>
  readonly logs: string
  readonly logLevel: string | undefined
  /** Nothing in the recycle bin is destroyed by time before. */
  readonly purgesFrom: Date | undefined
  readonly observer: Observer
}

/** Processes of the controllers that are supervised together. One of them leads, and the others follow. */
export interface LocalControllers {
  /** On which each process serves its metrics, by its name. */
  readonly metricsPorts: ReadonlyMap<string, number>
  /** Whether one of them has this name in the Lease. */
  readonly has: (holder: string) => boolean
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
  const metricsPorts = new Map<string, number>()
  for (const name of controllersNames(count)) {
    const port = await keepPort(metricsPortFile(options.home, name), [...metricsPorts.values()])
    metricsPorts.set(name, port)
    running.push(await startOne({ name, metricsPort: port }, options))
  }
  undo.move()
  return {
    metricsPorts,
    has(holder) {
      return running.some((child) => {
        const found = child.process()
        return found !== undefined && isNameOf(holder, found.pid)
      })
    },
    restart() {
      for (const child of running) child.restart()
    },
    stop,
  }
}

interface Process {
  readonly name: string
  readonly metricsPort: number
}

async function startOne({ name, metricsPort }: Process, options: ControllersOptions): Promise<Supervised> {
  const { kubeconfig, agentTls, serverTls, logs, logLevel, purgesFrom, observer } = options
  const env = {
    HOLDFAST_KUBECONFIG: kubeconfig,
    HOLDFAST_AGENT_CA: agentTls.ca,
    HOLDFAST_AGENT_CLIENT_CERT: agentTls.certificate,
    HOLDFAST_AGENT_CLIENT_KEY: agentTls.key,
    HOLDFAST_METRICS_PORT: String(metricsPort),
    HOLDFAST_METRICS_LISTEN: ADDRESS,
    HOLDFAST_METRICS_TLS_CERT: serverTls.certificate,
    HOLDFAST_METRICS_TLS_KEY: serverTls.key,
    HOLDFAST_METRICS_CLIENT_NAMES: metricsReaders.join(','),
    ...(purgesFrom && { HOLDFAST_PURGES_FROM: purgesFrom.toISOString() }),
    ...(logLevel !== undefined && { HOLDFAST_LOG_LEVEL: logLevel }),
  }
  const logPath = join(logs, `${name}.log`)
  return supervise({ name, ...nodeProgram(MAIN, env), logPath, graceMs: GRACE_MS }, observer)
}
