import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { LocalError } from '../errors.ts'
import { tryLock, type Lock } from '../processes/lock-file.ts'
import { runCommand } from '../processes/run-command.ts'

/** Version of Kubernetes that hack/control-plane/go.mod pins. */
export const VERSION = 'v1.36.3'

const BUILD_TIMEOUT_MS = 45 * 60_000
const PROGRESS_MS = 15_000
// Versions of Go before this one cannot fetch the one that go.mod names.
const MIN_GO_MINOR = 21

const packages = {
  etcd: { path: 'go.etcd.io/etcd/server/v3', output: 'server' },
  'kube-apiserver': { path: 'k8s.io/kubernetes/cmd/kube-apiserver', output: 'kube-apiserver' },
  'kube-controller-manager': {
    path: 'k8s.io/kubernetes/cmd/kube-controller-manager',
    output: 'kube-controller-manager',
  },
  kubectl: { path: 'k8s.io/kubernetes/cmd/kubectl', output: 'kubectl' },
} as const
export type Program = keyof typeof packages

export interface BuildContext {
  readonly env: NodeJS.ProcessEnv
  readonly say: (line: string) => void
  /** Gives up. */
  readonly signal?: AbortSignal
}

/** Builds programs from the Go module proxy into a folder. Each appears there whole or not at all; two builds take turns. */
export async function buildPrograms(
  programs: readonly Program[],
  target: string,
  context: BuildContext,
): Promise<void> {
  await assertGo(context.env)
  await mkdir(target, { recursive: true })
  await using undo = new AsyncDisposableStack()
  const lock = await waitForLock(join(target, 'build.lock'), context.say)
  undo.defer(() => lock.release())
  const draft = await mkdtemp(join(target, 'build-'))
  undo.defer(() => rm(draft, { recursive: true }))

  context.say(`building ${programs.join(', ')} ${VERSION} with Go: about 6 minutes on 2 cores, once`)
  await goBuild(programs, draft, context)
  for (const program of programs) await rename(join(draft, packages[program].output), join(target, program))
}

async function goBuild(
  programs: readonly Program[],
  output: string,
  { env, say, signal }: BuildContext,
): Promise<void> {
  const startedAt = performance.now()
  let compiled = 0
  let latest = 'downloading modules'
  const progress = setInterval(() => {
    const seconds = Math.round((performance.now() - startedAt) / 1000)
    say(`  ${seconds} s: ${compiled > 0 ? `${compiled} packages compiled` : latest}`)
  }, PROGRESS_MS)
  const onLine = (line: string) => {
    if (/^go: |^#/.test(line)) latest = line
    else compiled += 1
  }
  try {
    const result = await runCommand({
      command: 'go',
      args: buildArgs(programs, output),
      cwd: fileURLToPath(new URL('../../hack/control-plane', import.meta.url)),
      env: { ...env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly', GOWORK: 'off' },
      timeoutMs: BUILD_TIMEOUT_MS,
      onLine,
      ...(signal && { signal }),
    })
    if (result.code !== 0) throw buildFailed(result.stderr)
  } finally {
    clearInterval(progress)
  }
}

/** Arguments of `go` that build the programs into a folder. Without the -X flags the server would report v0.0.0-master. */
export function buildArgs(programs: readonly Program[], output: string): string[] {
  const [major, minor] = VERSION.slice(1).split('.')
  const version = { gitVersion: VERSION, gitMajor: major, gitMinor: minor }
  const flags = Object.entries(version).map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)
  const paths = programs.map((program) => packages[program].path)
  return ['build', '-v', '-trimpath', '-ldflags', ['-s', '-w', ...flags].join(' '), '-o', `${output}/`, ...paths]
}

function buildFailed(stderr: string): LocalError {
  const lines = stderr.split('\n').filter((line) => /[: ]/.test(line))
  return new LocalError(
    'BUILD_FAILED',
    `building the control plane failed; Go says:\n${lines.slice(-8).join('\n')}\nIf it cannot download, set GOPROXY, or use a cluster that exists: npm start -- --kubeconfig FILE`,
  )
}

async function assertGo(env: NodeJS.ProcessEnv): Promise<void> {
  const found = await runCommand({ command: 'go', args: ['env', 'GOVERSION'], env, timeoutMs: 20_000 }).catch(
    (error: unknown) => {
      if (error instanceof LocalError && error.code === 'COMMAND_MISSING') return { stdout: '' }
      throw error
    },
  )
  const minor = Number(/^go1\.(\d+)/.exec(found.stdout)?.[1] ?? 0)
  if (minor >= MIN_GO_MINOR) return
  const why = minor === 0 ? 'there is no Go to build it with' : `Go 1.${minor} is too old to build it`
  throw new LocalError(
    'PROGRAMS_MISSING',
    `the control plane (etcd, kube-apiserver, kube-controller-manager ${VERSION}) is not here, and ${why}: install Go 1.21 or newer, or set KUBEBUILDER_ASSETS to a folder with these programs, or use a cluster that exists: npm start -- --kubeconfig FILE`,
  )
}

async function waitForLock(path: string, say: (line: string) => void): Promise<Lock> {
  for (let attempt = 0; ; attempt++) {
    const outcome = await tryLock(path)
    if ('lock' in outcome) return outcome.lock
    if (attempt % 30 === 0) say(`waiting for the build of process ${outcome.holder.pid}`)
    await sleep(1000)
  }
}
