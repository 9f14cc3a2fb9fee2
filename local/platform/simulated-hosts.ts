import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadOrCreateAuthority, loadOrIssue } from '../../lib/tls/authority.ts'
import type { Home } from '../home.ts'
import { findFreePort } from '../processes/port.ts'
import { nodeProgram } from '../processes/node-program.ts'
import { supervise, type Observer } from '../processes/supervise.ts'
import { agentClients, metricsReaders, prepareIdentities } from './agent.ts'
import { ADDRESS, hostManifests, type LocalHosts } from './hosts.ts'

export interface SimulatedHostsOptions {
  readonly home: Home
  readonly count: number
  /** How long a machine takes from the order until it runs. */
  readonly startMs: number
  readonly env: NodeJS.ProcessEnv
  readonly observer: Observer
}

const PREFIX = 'simulated-'
/** Name of the first of them. */
export const FIRST_SIMULATED = nameOf(1)

const PROGRAM = 'simulated-hosts'
const MAIN = fileURLToPath(new URL('../../agent/simulated/main.ts', import.meta.url))
const GRACE_MS = 5_000

/** Starts one process that answers as the agents of so many hosts would. What it is told is forgotten when it ends. */
export async function startSimulatedHosts(options: SimulatedHostsOptions): Promise<LocalHosts> {
  const { home, count, observer } = options
  const names = Array.from({ length: count }, (_, index) => nameOf(index + 1))
  const ports: number[] = []
  for (const _ of names) ports.push(await findFreePort(ports))
  await prepareIdentities(home.agent.pki)
  const authority = await loadOrCreateAuthority(home.agent.pki, 'holdfast-agents')
  const identity = `${PROGRAM}-${count}`
  await loadOrIssue(authority, {
    folder: home.agent.pki,
    name: identity,
    commonName: PROGRAM,
    dnsNames: names,
    ips: [ADDRESS],
    usages: ['Server'],
  })
  const stateDir = join(home.root, PROGRAM)
  await mkdir(stateDir, { recursive: true, mode: 0o700 })
  const file = (name: string) => join(home.agent.pki, name)
  const child = await supervise(
    {
      name: PROGRAM,
      logPath: join(home.logs, `${PROGRAM}.log`),
      graceMs: GRACE_MS,
      ...nodeProgram(MAIN, {
        HOLDFAST_SIMULATED_HOSTS: names.map((name, index) => `${name}=${ports[index]}`).join(','),
        HOLDFAST_SIMULATED_START_MS: String(options.startMs),
        HOLDFAST_SIMULATED_STATE_DIR: stateDir,
        HOLDFAST_AGENT_TLS_CERT: file(`${identity}.crt`),
        HOLDFAST_AGENT_TLS_KEY: file(`${identity}.key`),
        HOLDFAST_AGENT_CLIENT_CA: file('ca.crt'),
        HOLDFAST_AGENT_CLIENT_NAMES: agentClients.join(','),
        HOLDFAST_AGENT_METRICS_NAMES: metricsReaders.join(','),
      }),
    },
    observer,
  )
  observer.say(`${count} simulated hosts: machines on them are only told of, and no guest runs`)
  return {
    name: FIRST_SIMULATED,
    manifests: names.flatMap((name, index) =>
      hostManifests({ name, port: ports[index] ?? 0, storage: name, path: '/simulated' }),
    ),
    ports: new Map(names.map((name, index) => [name, ports[index] ?? 0])),
    samples: ['image.yaml'],
    machines: () => Promise.resolve(undefined),
    stopGuests: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => child.stop(),
  }
}

/** Of the first it is 1. */
export function nameOf(number: number): string {
  return `${PREFIX}${number}`
}

/** Which of them a Host is, by its name; 0 for another. */
export function numberOf(name: string): number {
  const number = Number(name.slice(PREFIX.length))
  return name === nameOf(number) ? number : 0
}
