import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectAgent } from '../../agent/client.ts'
import type { HostAgent } from '../../agent/contract.ts'
import { AgentError } from '../../agent/errors.ts'
import { loadOrCreateAuthority, loadOrIssue, type Identity } from '../../lib/tls/authority.ts'
import { LocalError } from '../errors.ts'
import type { AgentHome } from '../home.ts'
import { ADDRESS } from './hosts.ts'
import { choosePort } from '../processes/kept-port.ts'
import { nodeProgram } from '../processes/node-program.ts'
import { supervise, type Observer, type Supervised } from '../processes/supervise.ts'

/** Name of the Host that this machine is. */
export const HOST = 'host-1'

const CONTROLLERS = 'holdfast-controllers'
const LOCAL = 'holdfast-local'
/** May read metrics, and do nothing else: what Prometheus is given. */
const READER = 'holdfast-metrics'
const CONTROLLERS_SERVER = 'holdfast-controllers-metrics'
const WEBHOOKS = 'holdfast-webhooks'
const WEBHOOKS_SERVER = 'holdfast-webhooks-metrics'
/** Who may give orders to agents of this platform. */
export const agentClients: readonly string[] = [CONTROLLERS, LOCAL]
/** Who may only read what the processes of this platform measure. */
export const metricsReaders: readonly string[] = [READER]
const MAIN = fileURLToPath(new URL('../../agent/main.ts', import.meta.url))
const READY_TIMEOUT_MS = 60_000
const POLL_MS = 50
const GRACE_MS = 10_000

export interface AgentOptions {
  readonly home: AgentHome
  readonly logs: string
  readonly port: number | undefined
  /** PATH, and HOLDFAST_AGENT_* that differ from what is chosen here. */
  readonly env: NodeJS.ProcessEnv
  readonly observer: Observer
}

export interface LocalAgent {
  readonly port: number
  readonly child: Supervised
  readonly connection: HostAgent & AsyncDisposable
}

/** What its callers and the agent of this machine prove themselves with, as paths. */
export interface AgentTls {
  readonly ca: string
  readonly certificate: string
  readonly key: string
}

/** Starts the agent of this machine, and waits until it answers. It ends with this process; its guests do not. */
export async function startAgent(options: AgentOptions): Promise<LocalAgent> {
  const { home, logs, observer } = options
  const port = await choosePort({ file: home.port, wanted: options.port, option: '--agent-port' })
  const { ca, local } = await prepareIdentities(home.pki)
  const logPath = join(logs, 'agent.log')
  const program = nodeProgram(MAIN, environment(options, port))
  const child = await supervise({ name: 'agent', ...program, logPath, graceMs: GRACE_MS }, observer)
  const connection = connectAgent({ address: ADDRESS, port, hostName: HOST, tls: { ca, ...local } })
  try {
    await untilAnswers(connection, child)
  } catch (error) {
    await connection[Symbol.asyncDispose]()
    await child.stop()
    throw error
  }
  return { port, child, connection }
}

/** What the controllers prove themselves with to agents. */
export function controllersTls({ pki }: AgentHome): AgentTls {
  return tlsFiles(pki, CONTROLLERS)
}

/** What the controllers serve their metrics with. */
export function controllersServerTls({ pki }: AgentHome): AgentTls {
  return tlsFiles(pki, CONTROLLERS_SERVER)
}

/** What the webhooks serve their metrics with. */
export function webhooksServerTls({ pki }: Pick<AgentHome, 'pki'>): AgentTls {
  return tlsFiles(pki, WEBHOOKS_SERVER)
}

/** What whoever reads metrics proves itself with. */
export function readerTls({ pki }: AgentHome): AgentTls {
  return tlsFiles(pki, READER)
}

interface AgentIdentities {
  /** PEM. */
  readonly ca: string
  readonly controllers: Identity
  readonly local: Identity
}

/** Makes, or finds and renews, what the agent and its callers prove themselves with. Agents look at the files themselves. */
export async function prepareIdentities(folder: string): Promise<AgentIdentities> {
  const authority = await loadOrCreateAuthority(folder, 'holdfast-agents')
  await loadOrIssue(authority, {
    folder,
    name: HOST,
    commonName: HOST,
    dnsNames: [HOST],
    ips: [ADDRESS],
    usages: ['Server'],
  })
  const controllers = await loadOrIssue(authority, {
    folder,
    name: CONTROLLERS,
    commonName: CONTROLLERS,
    usages: ['Client'],
  })
  const local = await loadOrIssue(authority, { folder, name: LOCAL, commonName: LOCAL, usages: ['Client'] })
  await loadOrIssue(authority, { folder, name: READER, commonName: READER, usages: ['Client'] })
  const servers = [
    [CONTROLLERS_SERVER, CONTROLLERS],
    [WEBHOOKS_SERVER, WEBHOOKS],
  ] as const
  for (const [name, dnsName] of servers) {
    const usages = ['Server'] as const
    await loadOrIssue(authority, { folder, name, commonName: name, dnsNames: [dnsName], ips: [ADDRESS], usages })
  }
  return { ca: authority.certificate, controllers, local }
}

function tlsFiles(folder: string, name: string): AgentTls {
  const file = (suffix: string) => join(folder, suffix)
  return { ca: file('ca.crt'), certificate: file(`${name}.crt`), key: file(`${name}.key`) }
}

function environment({ home, env }: AgentOptions, port: number): NodeJS.ProcessEnv {
  const { ca, certificate, key } = tlsFiles(home.pki, HOST)
  const given = Object.entries(env).filter(([name]) => name === 'PATH' || name.startsWith('HOLDFAST_AGENT_'))
  return {
    ...Object.fromEntries(given),
    HOLDFAST_AGENT_NAME: HOST,
    HOLDFAST_AGENT_STATE_DIR: home.state,
    HOLDFAST_AGENT_RUN_DIR: home.run,
    HOLDFAST_AGENT_IMPORT_DIR: home.imports,
    HOLDFAST_AGENT_LISTEN: ADDRESS,
    HOLDFAST_AGENT_PORT: String(port),
    HOLDFAST_AGENT_TLS_CERT: certificate,
    HOLDFAST_AGENT_TLS_KEY: key,
    HOLDFAST_AGENT_CLIENT_CA: ca,
    HOLDFAST_AGENT_CLIENT_NAMES: agentClients.join(','),
    HOLDFAST_AGENT_METRICS_NAMES: metricsReaders.join(','),
  }
}

async function untilAnswers(agent: HostAgent, child: Supervised): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS
  for (;;) {
    try {
      await agent.host()
      return
    } catch (error) {
      if (!(error instanceof AgentError) || error.code !== 'UNREACHABLE') throw error
      await child.assertNeverEnded()
      if (performance.now() > deadline) {
        throw new LocalError(
          'NOT_READY',
          `the agent does not answer after ${READY_TIMEOUT_MS / 1000} s: see ${child.logPath}`,
        )
      }
    }
    await sleep(POLL_MS)
  }
}
