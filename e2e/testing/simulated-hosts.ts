import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, open, readFile } from 'node:fs/promises'
import { Agent, get } from 'node:https'
import { join } from 'node:path'
import * as z from 'zod'
import { loadOrCreateAuthority, loadOrIssue } from '../../lib/tls/authority.ts'
import { freePort } from './free-port.ts'
import type { Platform } from './platform.ts'

const MAIN = join(import.meta.dirname, '..', '..', 'agent', 'simulated', 'main.ts')

const observed = z.array(z.looseObject({ id: z.string(), state: z.string() }))
export type SimulatedMachine = z.infer<typeof observed>[number] & { readonly host: string }

/** Simulated hosts beside the real ones of a platform. */
export class SimulatedHosts implements AsyncDisposable {
  /** Name and port of each. */
  readonly hosts: ReadonlyMap<string, number>
  readonly #child: ChildProcess
  readonly #client: Agent

  private constructor(hosts: ReadonlyMap<string, number>, child: ChildProcess, client: Agent) {
    this.hosts = hosts
    this.#child = child
    this.#client = client
  }

  static async start({ home }: Platform, count: number, startMs: number): Promise<SimulatedHosts> {
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
        HOLDFAST_SIMULATED_HOSTS: [...hosts].map(([name, port]) => `${name}=${port}`).join(','),
        HOLDFAST_SIMULATED_START_MS: String(startMs),
        HOLDFAST_SIMULATED_STATE_DIR: join(folder, 'state'),
        HOLDFAST_AGENT_TLS_CERT: join(folder, 'tls.crt'),
        HOLDFAST_AGENT_TLS_KEY: join(folder, 'tls.key'),
        HOLDFAST_AGENT_CLIENT_CA: join(pki, 'ca.crt'),
        HOLDFAST_AGENT_CLIENT_NAMES: 'holdfast-controllers',
      },
    })
    const read = (name: string) => readFile(join(pki, name), 'utf8')
    const [ca, cert, key] = [
      await read('ca.crt'),
      await read('holdfast-controllers.crt'),
      await read('holdfast-controllers.key'),
    ]
    return new SimulatedHosts(hosts, child, new Agent({ keepAlive: true, ca, cert, key }))
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(signal)
  }

  /** What every host says that it has. */
  async machines(): Promise<SimulatedMachine[]> {
    const all = await Promise.all(
      [...this.hosts].map(async ([host, port]) =>
        (await this.#ask(host, port)).map((machine) => ({ ...machine, host })),
      ),
    )
    return all.flat()
  }

  async #ask(servername: string, port: number): Promise<z.infer<typeof observed>> {
    const options = { host: '127.0.0.1', port, path: '/v1/machines', servername, agent: this.#client }
    const text = await new Promise<string>((resolve, reject) => {
      get(options, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')))
      }).on('error', reject)
    })
    return observed.parse(JSON.parse(text))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.destroy()
    const exit = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exit
  }
}
