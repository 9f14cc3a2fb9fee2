import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findFreePort } from '../../local/processes/port.ts'
import { runCommand } from '../../local/processes/run-command.ts'
import { cacheFolder } from '../../local/user-folders.ts'
import { onInterruption } from '../interruption.ts'
import { CONTROLLERS_KUBECONFIG } from '../platform.ts'

const SOURCE = join(import.meta.dirname, 'operator')
const BUILD_TIMEOUT_MS = 30 * 60_000
const PROGRESS_MS = 15_000
const READY_MS = 60_000
const LOOK_MS = 50
const SHOWN_CHARACTERS = 4_000

/** Builds the operator from the Go module proxy, and returns its path. Where nothing changed, Go sees that in a second. */
export async function buildOperator(env: NodeJS.ProcessEnv, say: (line: string) => void): Promise<string> {
  const folder = join(cacheFolder(env), 'bench')
  const path = join(folder, 'controller-runtime')
  await mkdir(folder, { recursive: true })
  say('building the operator with Go: some minutes on 2 cores, once')
  let latest = 'reading modules'
  const progress = setInterval(() => say(`  ${latest}`), PROGRESS_MS)
  try {
    // As a team ships it: without debug information, and otherwise as Go builds by default.
    const { code, stderr } = await runCommand({
      command: 'go',
      args: ['build', '-v', '-trimpath', '-ldflags', '-s -w', '-o', path, '.'],
      cwd: SOURCE,
      env: { ...env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly', GOWORK: 'off' },
      timeoutMs: BUILD_TIMEOUT_MS,
      onLine: (line) => (latest = line),
    })
    if (code !== 0) throw new Error(`the operator cannot be built; Go says:\n${stderr.slice(-SHOWN_CHARACTERS)}`)
  } finally {
    clearInterval(progress)
  }
  return path
}

export interface Operator extends AsyncDisposable {
  readonly pid: number
  /** Rejects when the operator ends before it is told to. */
  readonly ended: Promise<never>
}

export interface OperatorOptions {
  readonly program: string
  /** Of the platform that it works for. */
  readonly home: string
  /** Of its leadership. */
  readonly term: number
}

/** Starts the operator with the rights and the certificates of the controllers. It has read all and knows every host then. */
export async function startOperator({ program, home, term }: OperatorOptions): Promise<Operator> {
  const probes = `127.0.0.1:${await findFreePort()}`
  const logPath = join(home, 'controller-runtime.log')
  const pki = (name: string) => join(home, 'pki', 'agents', name)
  const args = [
    `--kubeconfig=${join(home, CONTROLLERS_KUBECONFIG)}`,
    `--agent-ca=${pki('ca.crt')}`,
    `--agent-cert=${pki('holdfast-controllers.crt')}`,
    `--agent-key=${pki('holdfast-controllers.key')}`,
    `--health-probe-bind-address=${probes}`,
    `--term=${term}`,
  ]
  await using log = await open(logPath, 'w', 0o600)
  const child = spawn(program, args, { env: {}, stdio: ['ignore', log.fd, log.fd] })
  const exited = once(child, 'exit')
  await once(child, 'spawn')
  let isStopping = false
  const ended = exited.then(async (): Promise<never> => {
    if (isStopping) return new Promise(() => undefined)
    throw new Error(`the operator ended; its log:\n${(await readFile(logPath, 'utf8')).slice(-SHOWN_CHARACTERS)}`)
  })
  const stop = async () => {
    isStopping = true
    child.kill('SIGTERM')
    await exited
  }
  await using undo = new AsyncDisposableStack()
  undo.defer(stop)
  undo.use(onInterruption(() => void child.kill()))
  await Promise.race([untilReady(`http://${probes}/readyz`), ended])
  const running = undo.move()
  return { pid: child.pid ?? 0, ended, [Symbol.asyncDispose]: () => running.disposeAsync() }
}

async function untilReady(url: string): Promise<void> {
  const deadline = performance.now() + READY_MS
  for (;;) {
    const isReady = await fetch(url).then(
      ({ ok }) => ok,
      () => false, // It does not listen yet.
    )
    if (isReady) return
    if (performance.now() > deadline) throw new Error('the operator does not become ready')
    await sleep(LOOK_MS)
  }
}
