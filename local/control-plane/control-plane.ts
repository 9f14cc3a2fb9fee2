import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { readTextFile, writePrivateFile } from '../../lib/tls/private-file.ts'
import { LocalError } from '../errors.ts'
import { choosePort } from '../processes/kept-port.ts'
import { supervise, withLifeline, type Observer, type Supervised } from '../processes/supervise.ts'
import { apiServerArgs, controllerManagerArgs, etcdArgs, goSettings } from './arguments.ts'
import { prepareIdentities, webhookCaller } from './identities.ts'
import type { Programs } from './programs.ts'

const READY_TIMEOUT_MS = 90_000
const POLL_MS = 50
const GRACE_MS = 15_000

export interface ControlPlaneOptions {
  /** Holds `etcd/`, `pki/kubernetes/`, `logs/`, `kubeconfig` and `port`. Made if missing. */
  readonly folder: string
  /** Without one: that of the last start, else a free one. */
  readonly port?: number
  /** Whether data survives a crash of the machine. Tests go faster without. */
  readonly durable: boolean
  readonly programs: Programs
  /** Its GOGC and GOMEMLIMIT are those of the programs. */
  readonly env: NodeJS.ProcessEnv
  readonly observer: Observer
}

export interface ControlPlane {
  /** Path of an administrator's kubeconfig. */
  readonly kubeconfig: string
  /** Path of the kubeconfig that the controllers are to use: RBAC holds for it. */
  readonly controllersKubeconfig: string
  /** Path of the one for the webhooks. */
  readonly webhooksKubeconfig: string
  /** By what webhooks know this API server: a file of its authority (PEM), and the name in its certificate. */
  readonly webhookCaller: { readonly authority: string; readonly commonName: string }
  readonly port: number
  readonly children: readonly Supervised[]
  /** Issues anew the certificates of which less than a third of their life is left, and has them used. */
  renew(): Promise<void>
  stop(graceMs?: number): Promise<void>
}

/**
 * Starts etcd, kube-apiserver and kube-controller-manager, reachable from this machine alone, and waits until they
 * serve. They end with this process, however it ends; what was written stays in the folder.
 */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { folder } = options
  await prepareFolders(folder)
  const port = await choosePort({ file: join(folder, 'port'), wanted: options.port, option: '--port' })
  const pki = join(folder, 'pki/kubernetes')
  const hasData = existsSync(join(folder, 'etcd/data/member'))
  const kubeconfig = join(folder, 'kubeconfig')
  const controllersKubeconfig = join(pki, 'holdfast-controllers.kubeconfig')
  const webhooksKubeconfig = join(pki, 'holdfast-webhooks.kubeconfig')
  const identify = async () => {
    const kubeconfigs = await prepareIdentities({ folder: pki, port, hasData })
    await writePrivateFile(kubeconfig, kubeconfigs.administrator)
    await writePrivateFile(controllersKubeconfig, kubeconfigs.controllers)
    await writePrivateFile(webhooksKubeconfig, kubeconfigs.webhooks)
    return kubeconfigs.controllerManager
  }
  let managerLogin = await identify()

  await using undo = new AsyncDisposableStack()
  const children: Supervised[] = []
  const start = async (name: 'etcd' | 'kube-apiserver' | 'kube-controller-manager', program: Launch) => {
    const child = await startProgram(name, program, options)
    undo.defer(() => child.stop())
    children.push(child)
  }
  await start('etcd', { args: etcdArgs(options), cwd: join(folder, 'etcd') })
  await start('kube-apiserver', { args: apiServerArgs({ port, etcdSocket: '../../etcd/client.sock:0' }), cwd: pki })
  await untilReady(port, pki, children)
  await start('kube-controller-manager', { args: controllerManagerArgs, cwd: pki })

  undo.move()
  // In reverse: a server that loses its storage waits for it instead of ending.
  const stop = async (graceMs?: number) => {
    for (const child of children.toReversed()) await child.stop(graceMs)
  }
  const renew = async () => {
    const last = managerLogin
    managerLogin = await identify()
    // The others look at their files themselves.
    if (managerLogin !== last) children.find(({ name }) => name === 'kube-controller-manager')?.restart()
  }
  const caller = { ...webhookCaller, authority: join(pki, webhookCaller.authority) }
  return { kubeconfig, controllersKubeconfig, webhooksKubeconfig, webhookCaller: caller, port, children, renew, stop }
}

interface Launch {
  readonly args: readonly string[]
  readonly cwd: string
}

async function startProgram(
  name: 'etcd' | 'kube-apiserver' | 'kube-controller-manager',
  { args, cwd }: Launch,
  { folder, programs, env, observer }: ControlPlaneOptions,
): Promise<Supervised> {
  const logPath = join(folder, 'logs', `${name}.log`)
  const command = withLifeline(programs[name], args)
  return supervise({ name, ...command, cwd, env: goSettings(env), logPath, graceMs: GRACE_MS }, observer)
}

async function prepareFolders(folder: string): Promise<void> {
  await mkdir(join(folder, 'etcd'), { recursive: true, mode: 0o700 })
  await mkdir(join(folder, 'pki/kubernetes'), { recursive: true, mode: 0o700 })
  await mkdir(join(folder, 'logs'), { recursive: true, mode: 0o700 })
}

async function untilReady(port: number, pki: string, children: readonly Supervised[]): Promise<void> {
  const credentials = {
    ca: await readTextFile(join(pki, 'ca.crt')),
    cert: await readTextFile(join(pki, 'administrator.crt')),
    key: await readTextFile(join(pki, 'administrator.key')),
  }
  const deadline = performance.now() + READY_TIMEOUT_MS
  while (!(await isReady(port, credentials))) {
    for (const child of children) await child.assertNeverEnded()
    if (performance.now() > deadline) {
      const logs = children.map(({ logPath }) => logPath).join(' and ')
      throw new LocalError(
        'NOT_READY',
        `the control plane is not ready after ${READY_TIMEOUT_MS / 1000} s: see ${logs}`,
      )
    }
    await sleep(POLL_MS)
  }
}

interface Credentials {
  readonly ca: string | undefined
  readonly cert: string | undefined
  readonly key: string | undefined
}

// Any failure here means "not yet"; what went wrong is in the server's log.
async function isReady(port: number, credentials: Credentials): Promise<boolean> {
  return new Promise((resolve) => {
    const query = request({ host: '127.0.0.1', port, path: '/readyz', agent: false, timeout: 5000, ...credentials })
    query.on('response', (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    query.on('timeout', () => query.destroy())
    query.on('error', () => resolve(false))
    query.end()
  })
}
