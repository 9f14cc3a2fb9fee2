import { join } from 'node:path'
import { startControlPlane } from '../control-plane/control-plane.ts'
import { findKubectl, findPrograms } from '../control-plane/programs.ts'
import type { Home } from '../home.ts'
import type { Kubectl } from '../kubectl.ts'
import type { Observer } from '../processes/supervise.ts'
import { assertClusterFits, keepLogin } from './existing-cluster.ts'
import { serveWebhooks } from './existing-cluster-webhooks.ts'
import { installKinds, installWebhooks, untilPoliciesWork } from './install.ts'
import type { WantedHosts } from './objects.ts'
import { startWebhooks } from './webhooks.ts'

const LOOPBACK = '127.0.0.1'

export interface ClusterOptions {
  readonly home: Home
  readonly env: NodeJS.ProcessEnv
  /** Of the API server that is started; kept from the last start if not given. */
  readonly port: number | undefined
  /** Of a cluster that exists and is to be used instead. */
  readonly kubeconfig: string | undefined
  /** To be refused before anything is written, where the cluster that exists has others. */
  readonly hosts: WantedHosts
  readonly observer: Observer
  /** Gives up what takes minutes. */
  readonly signal: AbortSignal
}

/** A Kubernetes API that knows our kinds. */
export interface Cluster extends AsyncDisposable {
  /** As an administrator. */
  readonly kubectl: Kubectl
  /** As the controllers. */
  readonly controllersKubeconfig: string
  /** Of 127.0.0.1, where the webhooks serve their metrics; undefined where none run here. */
  readonly webhooksMetricsPort: number | undefined
  /** Renews what expires. */
  renew(): Promise<void>
}

/** Starts a control plane of our own, or goes to the one that is named, and installs what is missing there. */
export async function openCluster(options: ClusterOptions): Promise<Cluster> {
  return options.kubeconfig === undefined ? startOwn(options) : joinExisting(options, options.kubeconfig)
}

async function startOwn({ home, env, port, observer, signal }: ClusterOptions): Promise<Cluster> {
  const programs = await findPrograms({ env, say: observer.say, signal })
  observer.say('starting etcd, kube-apiserver and kube-controller-manager')
  const controlPlane = await startControlPlane({
    folder: home.root,
    durable: true,
    programs,
    env,
    observer,
    ...(port !== undefined && { port }),
  })
  await using undo = new AsyncDisposableStack()
  undo.defer(() => controlPlane.stop())
  const kubectl = { program: programs.kubectl, kubeconfig: controlPlane.kubeconfig, cache: cacheOf(home), env }
  // In this order: once the API server was told of webhooks, nothing of our kinds is written while they do not answer.
  observer.say('the API server answers; installing our kinds, and the webhooks')
  const { hasPolicies } = await installKinds(kubectl)
  const logLevel = env['HOLDFAST_LOG_LEVEL']
  const { webhooksKubeconfig, webhookCaller: caller } = controlPlane
  const where = { kubeconfig: webhooksKubeconfig, address: LOOPBACK, caller }
  const webhooks = await startWebhooks({ ...where, home, logLevel, observer })
  undo.defer(() => webhooks.stop())
  const unseen = await installWebhooks(kubectl, webhooks.origin, { hasPolicies })
  if (unseen !== undefined) observer.say(unseen)
  const stop = undo.move()
  return {
    kubectl,
    controllersKubeconfig: controlPlane.controllersKubeconfig,
    webhooksMetricsPort: webhooks.metricsPort,
    renew: () => controlPlane.renew(),
    [Symbol.asyncDispose]: () => stop.disposeAsync(),
  }
}

async function joinExisting(options: ClusterOptions, kubeconfig: string): Promise<Cluster> {
  const { home, env, hosts, observer, signal } = options
  await assertClusterFits(kubeconfig, hosts)
  const program = await findKubectl({ env, say: observer.say, signal })
  const kubectl = { program, kubeconfig, cache: cacheOf(home), env }
  observer.say(`installing our kinds in the cluster of ${kubeconfig}`)
  await using undo = new AsyncDisposableStack()
  const { hasPolicies } = await installKinds(kubectl)
  const folder = join(home.root, 'pki', 'cluster')
  const logLevel = env['HOLDFAST_LOG_LEVEL']
  const webhooks = undo.use(await serveWebhooks(kubectl, { folder, home, logLevel, observer }))
  if (hasPolicies) {
    const unseen = await untilPoliciesWork(kubectl)
    if (unseen !== undefined) observer.say(unseen)
  }
  const login = undo.use(await keepLogin(kubectl, { account: 'holdfast-controllers', folder, say: observer.say }))
  const stop = undo.move()
  return {
    kubectl,
    controllersKubeconfig: login.kubeconfig,
    webhooksMetricsPort: webhooks.metricsPort,
    renew: () => Promise.resolve(), // The cluster's own is its administrator's; tokens are renewed all the time.
    [Symbol.asyncDispose]: () => stop.disposeAsync(),
  }
}

function cacheOf({ root }: Home): string {
  return join(root, 'kubectl-cache')
}
