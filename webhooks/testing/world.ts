import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../lib/clock.ts'
import { Kube } from '../../lib/kube/client.ts'
import { silentLog, type Log } from '../../lib/log.ts'
import { startControlPlane, type ControlPlane } from '../../local/control-plane/control-plane.ts'
import { findPrograms } from '../../local/control-plane/programs.ts'
import { kubectl, type Kubectl } from '../../local/kubectl.ts'
import { installManifests, installWebhooks } from '../../local/platform/install.ts'
import * as z from 'zod'
import { defaultPeriods, type Periods } from '../authorities.ts'
import type { Door } from '../door.ts'
import { runWebhooks } from '../run.ts'

/** A real API server that asks real webhooks. */
export interface World extends AsyncDisposable {
  readonly plane: ControlPlane
  readonly folder: string
  /** As an administrator, who may do everything. */
  readonly kube: Kube
  readonly kubectl: Kubectl
  /** Makes somebody who may read and write our kinds, and has these verbs of ours besides; and of the others not those. */
  person(name: string, verbs?: readonly string[], without?: readonly string[]): Promise<Kube>
  /** As one of our own processes, by the name of its account. */
  account(name: string): Promise<Kube>
  /** Starts webhooks, and waits until they listen. */
  startWebhooks(options?: WebhooksOptions): Promise<Webhooks>
  /** Has the API server ask the webhooks at that port. */
  install(port: number): Promise<void>
}

export interface WebhooksOptions {
  readonly periods?: Periods
  readonly door?: Door
  readonly log?: Log
  readonly port?: number
}

export interface Webhooks {
  readonly port: number
  stop(): Promise<void>
}

/** Starts a control plane that knows our kinds and policies. `env` says where its programs are. */
export async function startWorld(env: NodeJS.ProcessEnv): Promise<World> {
  await using undo = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'hf-webhooks-'))
  undo.defer(() => rm(folder, { recursive: true, force: true }))
  const observer = { say: () => undefined, changed: () => undefined }
  const programs = await findPrograms({ env, say: observer.say })
  const plane = await startControlPlane({ folder, durable: false, programs, env, observer })
  undo.defer(() => plane.stop())
  const { kubeconfig } = plane
  const cluster: Kubectl = { program: programs.kubectl, kubeconfig, cache: join(folder, 'kubectl'), env }
  await installManifests(cluster)
  const kube = undo.use(await Kube.connect(kubeconfig))
  const running = undo.move()
  return {
    plane,
    folder,
    kube,
    kubectl: cluster,
    async person(name, verbs = [], without = []) {
      const own = ['get', 'list', 'create', 'update', 'patch', 'delete', 'deletecollection']
      await permit(kube, name, [...own.filter((verb) => !without.includes(verb)), ...verbs])
      return running.use(await connectAs(cluster, folder, name))
    },
    account: async (name) =>
      running.use(await connectAs(cluster, folder, `system:serviceaccount:holdfast-system:${name}`)),
    async startWebhooks(options = {}) {
      const webhooks = await start(plane, options)
      running.defer(() => webhooks.stop())
      return webhooks
    },
    install: async (port) => void (await installWebhooks(cluster, `https://127.0.0.1:${port}`)),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  }
}

async function start(plane: ControlPlane, { periods, door, log, port: wanted }: WebhooksOptions): Promise<Webhooks> {
  const stop = new AbortController()
  const port = wanted ?? (await freePort())
  const kube = await Kube.connect(plane.webhooksKubeconfig)
  const { authority, commonName } = plane.webhookCaller
  const byCertificate = door === undefined || door.by === 'Certificate'
  const deps = {
    kube,
    clock: systemClock,
    log: log ?? silentLog,
    door: door ?? ({ by: 'Certificate', names: [commonName] } as const),
    clientCa: byCertificate ? await readFile(authority, 'utf8') : undefined,
    listen: { host: '127.0.0.1', port },
    names: { dnsNames: [], ips: ['127.0.0.1'] },
    periods: periods ?? defaultPeriods,
    lookMs: 200,
  }
  const listening = Promise.withResolvers<undefined>()
  const running = runWebhooks({ ...deps, onListening: () => listening.resolve(undefined) }, stop.signal)
  await Promise.race([listening.promise, running])
  return {
    port,
    async stop() {
      stop.abort()
      await running
      await kube.close()
    },
  }
}

const rbac = { path: '/apis/rbac.authorization.k8s.io/v1' }

async function permit(kube: Kube, name: string, verbs: readonly string[]): Promise<void> {
  const groups = ['compute', 'storage', 'platform'].map((group) => `${group}.holdfast.dev`)
  const rules = [
    { apiGroups: groups, resources: ['*'], verbs },
    { apiGroups: [''], resources: ['namespaces', 'configmaps'], verbs: ['*'] },
  ]
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name }
  const subjects = [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name }]
  await kube.send({ method: 'POST', path: `${rbac.path}/clusterroles`, body: { metadata: { name }, rules } })
  const binding = { metadata: { name }, roleRef, subjects }
  await kube.send({ method: 'POST', path: `${rbac.path}/clusterrolebindings`, body: binding })
}

const kubeconfig = z.looseObject({
  users: z.array(z.looseObject({ user: z.looseObject({ as: z.string().optional() }) })),
})

/** As an administrator who plays somebody: the API server judges by whom he plays. */
async function connectAs(cluster: Kubectl, folder: string, name: string): Promise<Kube> {
  const flat = await kubectl(cluster, ['config', 'view', '--minify', '--raw', '--flatten', '--output=json'])
  const config = kubeconfig.parse(JSON.parse(flat))
  for (const { user } of config.users) user.as = name
  const path = join(folder, `${name}.kubeconfig`)
  await writeFile(path, JSON.stringify(config), { mode: 0o600 })
  return Kube.connect(path)
}

async function freePort(): Promise<number> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  server.close()
  return typeof address === 'object' && address ? address.port : 0
}
