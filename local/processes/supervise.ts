import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { LocalError } from '../errors.ts'
import { identify, type ProcessIdentity } from '../../lib/process-identity.ts'
import { rotateLog } from './rotate-log.ts'

const MAX_LOG_BYTES = 16 * 1024 * 1024
const ROTATION_MS = 10_000
const FIRST_DELAY_MS = 500
const MAX_DELAY_MS = 8_000
// One that ran this long is not in a crash loop.
const STABLE_MS = 60_000

export interface ProgramSpec {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  readonly logPath: string
  /** How long it may take to end by itself, before it is killed. */
  readonly graceMs: number
}

export interface Observer {
  /** A sentence for the person who watches. */
  readonly say: (line: string) => void
  /** Called after every start and end. */
  readonly changed: (name: string, process: ProcessIdentity | undefined) => void
}

/** A program that is started again, with back-off, whenever it ends by itself. */
export interface Supervised {
  readonly name: string
  readonly logPath: string
  /** The process of now; undefined while it waits to be started again. */
  process(): ProcessIdentity | undefined
  /** Throws `PROGRAM_ENDED`, with the end of its log, if it ever ended by itself. */
  assertNeverEnded(): Promise<void>
  /** Has it end and start again, so that it reads its files anew. */
  restart(): void
  /** Ends it for good. Safe to call twice; the second call may ask for less patience. */
  stop(graceMs?: number): Promise<void>
}

/** Starts a program in a session of its own, so that a Ctrl-C in the terminal does not reach it. */
export async function supervise(spec: ProgramSpec, observer: Observer): Promise<Supervised> {
  const run = new Run(spec, observer)
  try {
    await run.start()
  } catch (error) {
    await run.stop()
    throw error
  }
  return run
}

class Run implements Supervised {
  readonly name: string
  readonly logPath: string
  readonly #spec: ProgramSpec
  readonly #observer: Observer
  readonly #stopping = new AbortController()
  readonly #rotation: NodeJS.Timeout
  #child: ChildProcess | undefined
  #process: ProcessIdentity | undefined
  #ends = 0
  #isRestart = false
  #loop: Promise<void> = Promise.resolve()

  constructor(spec: ProgramSpec, observer: Observer) {
    this.name = spec.name
    this.logPath = spec.logPath
    this.#spec = spec
    this.#observer = observer
    this.#rotation = setInterval(() => {
      rotateLog(spec.logPath, MAX_LOG_BYTES).catch((error: unknown) =>
        observer.say(`${spec.logPath}: ${String(error)}`),
      )
    }, ROTATION_MS)
    this.#rotation.unref()
  }

  async start(): Promise<void> {
    this.#loop = this.#keepRunning(await this.#launch())
  }

  process(): ProcessIdentity | undefined {
    return this.#process
  }

  async assertNeverEnded(): Promise<void> {
    if (this.#ends === 0) return
    const end = (await readFile(this.logPath, 'utf8')).trimEnd().slice(-2000)
    throw new LocalError('PROGRAM_ENDED', `${this.name} ended by itself; the end of its log ${this.logPath}:\n${end}`)
  }

  restart(): void {
    this.#isRestart = true
    this.#child?.kill('SIGTERM')
  }

  async stop(graceMs = this.#spec.graceMs): Promise<void> {
    clearInterval(this.#rotation)
    this.#stopping.abort()
    this.#child?.kill('SIGTERM')
    const timer = setTimeout(() => this.#child?.kill('SIGKILL'), graceMs)
    await this.#loop
    clearTimeout(timer)
  }

  async #launch(): Promise<Launched> {
    const { command, args, cwd, env, logPath } = this.#spec
    await using log = await open(logPath, 'a', 0o600)
    const child = spawn(command, [...args], { cwd, env, stdio: ['ignore', log.fd, log.fd], detached: true })
    const exited = new Promise((resolve) => child.once('exit', resolve))
    await once(child, 'spawn')
    this.#child = child
    this.#process = child.pid === undefined ? undefined : await identify(child.pid)
    this.#observer.changed(this.name, this.#process)
    if (this.#stopping.signal.aborted) child.kill('SIGTERM')
    return { exited }
  }

  async #keepRunning(first: Launched): Promise<void> {
    let current: Launched | undefined = first
    let delayMs = FIRST_DELAY_MS
    for (;;) {
      const startedAt = performance.now()
      await current?.exited
      this.#process = undefined
      this.#observer.changed(this.name, undefined)
      if (this.#stopping.signal.aborted) return

      if (performance.now() - startedAt > STABLE_MS) delayMs = FIRST_DELAY_MS
      if (!this.#isRestart) {
        if (!(await this.#wait(delayMs))) return
        delayMs = Math.min(delayMs * 2, MAX_DELAY_MS)
      }
      this.#isRestart = false
      current = await this.#launch().catch((error: unknown) => {
        this.#observer.say(`${this.name} could not be started: ${String(error)}`)
        return undefined
      })
    }
  }

  /** Back-off after an end that nobody asked for. False when it was stopped meanwhile. */
  async #wait(ms: number): Promise<boolean> {
    this.#ends += 1
    this.#observer.say(`${this.name} ended by itself and is started again in ${ms / 1000} s; see ${this.logPath}`)
    const { signal } = this.#stopping
    return sleep(ms, true, { signal }).catch(() => false)
  }
}

interface Launched {
  readonly exited: Promise<unknown>
}

/**
 * What to put before a command so that it ends when this process does, however it ends. Without `setpriv` (it is part
 * of util-linux) a killed supervisor leaves its programs behind, and the next start has to end them.
 */
export function withLifeline(command: string, args: readonly string[]): { command: string; args: string[] } {
  const setpriv = ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => existsSync(path))
  if (setpriv === undefined) return { command, args: [...args] }
  return { command: setpriv, args: ['--pdeathsig=KILL', command, ...args] }
}
