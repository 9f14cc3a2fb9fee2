import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { join } from 'node:path'

export interface NodeProcessOptions {
  /** `main.ts` of the program, from the root. */
  readonly main: string
  /** Where it writes what it has to say. */
  readonly log: string
  /** All of its environment. */
  readonly env: Readonly<Record<string, string>>
}

// What Node has made of the source before is half of what a start costs.
const { NODE_COMPILE_CACHE } = process.env

/** A process of ours that a test starts, kills and freezes. */
export class NodeProcess {
  readonly #options: NodeProcessOptions
  #child: ChildProcess | undefined

  constructor(options: NodeProcessOptions) {
    this.#options = options
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    const child = this.#child
    return child?.exitCode === null && child.signalCode === null ? child.pid : undefined
  }

  async start(): Promise<void> {
    const { main, log: path, env } = this.#options
    await using log = await open(path, 'a')
    const program = join(import.meta.dirname, '..', '..', main)
    this.#child = spawn(process.execPath, [program], {
      stdio: ['ignore', log.fd, log.fd],
      env: { NODE_COMPILE_CACHE, ...env },
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
