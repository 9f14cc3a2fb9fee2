import { once } from 'node:events'
import { connect, isIPv6, type TcpNetConnectOpts } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { LocalError } from '../errors.ts'
import { metricsPortFile, type Home } from '../home.ts'
import { keepPort } from '../processes/kept-port.ts'
import { findFreePort } from '../processes/port.ts'
import { nodeProgram } from '../processes/node-program.ts'
import { supervise, type Observer, type Supervised } from '../processes/supervise.ts'
import { metricsReaders, webhooksServerTls } from './agent.ts'
import { ADDRESS as LOOPBACK } from './hosts.ts'

const MAIN = fileURLToPath(new URL('../../webhooks/main.ts', import.meta.url))
const PROGRAM = 'webhooks'
const READY_TIMEOUT_MS = 60_000
const POLL_MS = 50
const GRACE_MS = 10_000

export interface LocalWebhooksOptions {
  readonly kubeconfig: string
  /** IP address of this machine at which they listen. */
  readonly address: string
  /** How they know the API server: by its certificate, or by a secret first step of the path, which is in a file. */
  readonly caller: { readonly authority: string; readonly commonName: string } | { readonly pathFile: string }
  readonly home: Home
  readonly logLevel: string | undefined
  readonly observer: Observer
}

export interface LocalWebhooks {
  /** Where the API server finds them. */
  readonly origin: string
  /** Of 127.0.0.1, where they serve their metrics. */
  readonly metricsPort: number
  stop(): Promise<void>
}

/**
 * Starts the webhooks, and waits until they listen, which they do once they can answer. The API server must know our
 * kinds already. The port is another one each time: nobody but the API server uses it, and it is told. What their metrics
 * are served with must have been made.
 */
export async function startWebhooks(options: LocalWebhooksOptions): Promise<LocalWebhooks> {
  const { kubeconfig, address, caller, home, logLevel, observer } = options
  const metricsPort = await keepPort(metricsPortFile(home, PROGRAM), [])
  const port = await findFreePort([metricsPort])
  const { ca, certificate, key } = webhooksServerTls(home.agent)
  const env = {
    HOLDFAST_KUBECONFIG: kubeconfig,
    HOLDFAST_WEBHOOKS_LISTEN: address,
    HOLDFAST_WEBHOOKS_PORT: String(port),
    HOLDFAST_WEBHOOKS_DNS_NAMES: '',
    HOLDFAST_WEBHOOKS_IPS: address,
    ...('pathFile' in caller
      ? { HOLDFAST_WEBHOOKS_PATH_FILE: caller.pathFile }
      : {
          HOLDFAST_WEBHOOKS_CLIENT_CA: caller.authority,
          HOLDFAST_WEBHOOKS_CLIENT_NAMES: caller.commonName,
        }),
    HOLDFAST_METRICS_PORT: String(metricsPort),
    HOLDFAST_METRICS_LISTEN: LOOPBACK,
    HOLDFAST_METRICS_TLS_CERT: certificate,
    HOLDFAST_METRICS_TLS_KEY: key,
    HOLDFAST_METRICS_CLIENT_CA: ca,
    HOLDFAST_METRICS_CLIENT_NAMES: metricsReaders.join(','),
    ...(logLevel !== undefined && { HOLDFAST_LOG_LEVEL: logLevel }),
  }
  const logPath = join(home.logs, `${PROGRAM}.log`)
  const child = await supervise({ name: PROGRAM, ...nodeProgram(MAIN, env), logPath, graceMs: GRACE_MS }, observer)
  try {
    await untilListening({ host: address, port }, child)
  } catch (error) {
    await child.stop()
    throw error
  }
  const origin = `https://${isIPv6(address) ? `[${address}]` : address}:${port}`
  return { origin, metricsPort, stop: () => child.stop() }
}

async function untilListening(at: TcpNetConnectOpts, child: Supervised): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS
  while (!(await isListening(at))) {
    await child.assertNeverEnded()
    if (performance.now() > deadline) {
      const patience = `${READY_TIMEOUT_MS / 1000} s`
      throw new LocalError('NOT_READY', `the webhooks do not answer after ${patience}: see ${child.logPath}`)
    }
    await sleep(POLL_MS)
  }
}

async function isListening(at: TcpNetConnectOpts): Promise<boolean> {
  const socket = connect(at)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false // Nobody there yet.
  } finally {
    socket.destroy()
  }
}
