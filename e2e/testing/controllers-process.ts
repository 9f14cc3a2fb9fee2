import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { join } from 'node:path'

const MAIN = join(import.meta.dirname, '..', '..', 'controllers', 'main.ts')

export interface ControllersOptions {
  /** Of a local platform. */
  readonly home: string
  /** Where they think that the API server is. */
  readonly kubeconfig: string
  /** Of its log. */
  readonly name: string
  /** Besides what it is configured by. */
  readonly env?: Readonly<Record<string, string>>
}

/** A process of the controllers that a test starts, kills and freezes. */
export class ControllersProcess {
  readonly #options: ControllersOptions
  #child: ChildProcess | undefined

  constructor(options: ControllersOptions) {
    this.#options = options
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    const child = this.#child
    return child?.exitCode === null && child.signalCode === null ? child.pid : undefined
  }

  async start(): Promise<void> {
    const { home, kubeconfig, name, env } = this.#options
    const pki = (file: string) => join(home, 'pki', 'agents', file)
    await using log = await open(join(home, 'logs', `${name}.log`), 'a')
    this.#child = spawn(process.execPath, [MAIN], {
      stdio: ['ignore', log.fd, log.fd],
      env: {
        ...env,
        HOLDFAST_KUBECONFIG: kubeconfig,
        HOLDFAST_AGENT_CA: pki('ca.crt'),
        HOLDFAST_AGENT_CLIENT_CERT: pki('holdfast-controllers.crt'),
        HOLDFAST_AGENT_CLIENT_KEY: pki('holdfast-controllers.key'),
      },
    })
  }

  /** Ends it as kill -9 does, and waits until it is gone. */
  async kill(): Promise<void> {
    const child = this.#child
    if (!child || this.pid === undefined) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.kill(signal)
  }
}
