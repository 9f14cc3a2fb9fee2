import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import { loadOrCreateAuthority, loadOrIssue } from '../../lib/tls/authority.ts'
import { Agents, type AgentMachine } from './agents.ts'
import { freePort } from './free-port.ts'
import type { Platform } from './platform.ts'

const MAIN = join(import.meta.dirname, '..', '..', 'agent', 'simulated', 'main.ts')

/** Simulated hosts beside the real ones of a platform. */
export class SimulatedHosts implements AsyncDisposable {
  /** Name and port of each. */
  readonly hosts: ReadonlyMap<string, number>
  readonly #child: ChildProcess
  readonly #agents: Agents

  private constructor(hosts: ReadonlyMap<string, number>, child: ChildProcess, agents: Agents) {
    this.hosts = hosts
    this.#child = child
    this.#agents = agents
  }

  static async start({ home }: Pick<Platform, 'home'>, count: number, startMs: number): Promise<SimulatedHosts> {
    const pki = join(home, 'pki', 'agents')
    const folder = join(home, 'simulated')
    await mkdir(folder)
    const hosts = new Map<string, number>()
    for (let index = 1; index <= count; index++) hosts.set(`simulated-${index}`, await freePort())
    const authority = await loadOrCreateAuthority(pki, 'holdfast-agents')
    const dnsNames = [...hosts.keys()]
    await loadOrIssue(authority, { folder, name: 'tls', commonName: 'simulated', dnsNames, usages: ['Server'] })
    await using log = await open(join(home, 'logs', 'simulated-hosts.log'), 'a')
    const child = spawn(process.execPath, [MAIN], {
      stdio: ['ignore', log.fd, log.fd],
      env: {
        NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
        HOLDFAST_SIMULATED_HOSTS: [...hosts].map(([name, port]) => `${name}=${port}`).join(','),
        HOLDFAST_SIMULATED_START_MS: String(startMs),
        HOLDFAST_SIMULATED_STATE_DIR: join(folder, 'state'),
        HOLDFAST_AGENT_TLS_CERT: join(folder, 'tls.crt'),
        HOLDFAST_AGENT_TLS_KEY: join(folder, 'tls.key'),
        HOLDFAST_AGENT_CLIENT_CA: join(pki, 'ca.crt'),
        HOLDFAST_AGENT_CLIENT_NAMES: 'holdfast-controllers',
      },
    })
    return new SimulatedHosts(hosts, child, await Agents.open({ home }, hosts))
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(signal)
  }

  /** What every host says that it has. */
  async machines(): Promise<AgentMachine[]> {
    return this.#agents.machines()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agents.close()
    const exit = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exit
  }
}
