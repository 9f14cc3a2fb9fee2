import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { chmod, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Kube } from '../lib/kube/client.ts'
import { onInterruption } from './interruption.ts'

/** A platform of its own for a benchmark, started as a user starts one. */
export interface BenchPlatform extends AsyncDisposable {
  readonly home: string
  readonly kube: Kube
}

/** Below a platform's home: what the controllers talk to the API server with. */
export const CONTROLLERS_KUBECONFIG = 'pki/kubernetes/holdfast-controllers.kubeconfig'

const MAIN = join(import.meta.dirname, '..', 'local', 'main.ts')

/** `options` are those of `npm start`. */
export async function startPlatform(env: NodeJS.ProcessEnv, options: readonly string[] = []): Promise<BenchPlatform> {
  const home = await mkdtemp(join(tmpdir(), 'hf-bench-'))
  await chmod(home, 0o711)
  const local = (...args: string[]) =>
    spawnSync(process.execPath, [MAIN, ...args], { env: { ...env, HOLDFAST_HOME: home } })
  const remove = () => {
    local('stop')
    rmSync(home, { recursive: true, force: true })
  }
  await using undo = new AsyncDisposableStack()
  undo.defer(remove)
  undo.use(onInterruption(remove))
  const { status, stdout, stderr } = local('start', '--detach', ...options)
  if (status !== 0) throw new Error(`the platform does not start: ${stdout.toString()}${stderr.toString()}`)
  const kube = undo.use(await Kube.connect(join(home, 'kubeconfig')))
  const running = undo.move()
  return { home, kube, [Symbol.asyncDispose]: () => running.disposeAsync() }
}
