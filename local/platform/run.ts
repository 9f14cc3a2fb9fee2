import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { Kube } from '../../lib/kube/client.ts'
import { LocalError } from '../errors.ts'
import { readTextFile } from '../../lib/tls/private-file.ts'
import { lockHome, restoredFile, restoreMark, type Home } from '../home.ts'
import { identify, type ProcessIdentity } from '../../lib/process-identity.ts'
import type { Observer } from '../processes/supervise.ts'
import { controllersServerTls, controllersTls, prepareIdentities } from './agent.ts'
import { markBoots, watchBoot } from './boot.ts'
import { openCluster, type Cluster } from './cluster.ts'
import { startControllers, type LocalControllers } from './controllers.ts'
import type { LocalHosts } from './hosts.ts'
import { noteCluster, refuseOwnControlPlane } from './joined-cluster.ts'
import { makeObjects, refuseOtherPlatform, type WantedHosts } from './objects.ts'
import { startOwnHost } from './own-host.ts'
import { ensureQemu } from './qemu.ts'
import { keepRenewed } from './renewal.ts'
import { untilReady, type Inventory } from './readiness.ts'
import { startSimulatedHosts } from './simulated-hosts.ts'
import { newStateFile } from './state.ts'

/** How long after a restore nothing in the recycle bin is destroyed by time. */
const PURGES_WAIT_MS = 3 * 24 * 3_600_000

export interface RunOptions {
  readonly home: Home
  readonly env: NodeJS.ProcessEnv
  readonly port: number | undefined
  readonly agentPort: number | undefined
  readonly kubeconfig: string | undefined
  /** Processes of the controllers. */
  readonly controllers: number
  /** Hosts without guests, instead of this machine. */
  readonly simulated: { readonly count: number; readonly startMs: number } | undefined
}

export interface Audience {
  /** A line of progress. */
  readonly say: (line: string) => void
  /** Everything runs. */
  readonly ready: (inventory: Inventory, cluster: Cluster) => Promise<void>
  /** Asked for the end. */
  readonly stop: AbortSignal
  /** Asked not to wait for guests. */
  readonly hurry: AbortSignal
  /** Whether guests are to be left running at the end. */
  readonly keepsGuests: () => boolean
}

/** Runs the whole platform on this machine until it is asked to stop, and ends all of it. The home must be prepared. */
export async function runPlatform(options: RunOptions, audience: Audience): Promise<void> {
  const { home } = options
  await using running = new AsyncDisposableStack()
  running.use(await lockHome(home))
  refuseHalfRestored(home)
  await refuseOwnControlPlane(home, options.kubeconfig)

  const boots = await markBoots(home)
  let hasGuests = boots.isAdopted
  const { observer, state } = await observe(options, audience)
  running.use(state)
  const { cluster, hosts } = await startParts(options, observer, { running, audience, hasGuests: () => hasGuests })
  if (audience.stop.aborted) throw new LocalError('INTERRUPTED', 'stopped before everything was ready')
  const kube = running.use(await Kube.connect(cluster.kubectl.kubeconfig, { environment: options.env }))
  await refuseOtherPlatform(kube, wantedHosts(options))
  await noteCluster(home, options.kubeconfig)
  await makeObjects(cluster.kubectl, kube, hosts)
  const controllers = await startControllers(options.controllers, {
    kubeconfig: cluster.controllersKubeconfig,
    agentTls: controllersTls(home.agent),
    serverTls: controllersServerTls(home.agent),
    home,
    logs: home.logs,
    logLevel: options.env['HOLDFAST_LOG_LEVEL'],
    purgesFrom: await readPurgesFrom(home),
    observer,
  })
  running.defer(() => controllers.stop())
  running.use(keepRenewed({ cluster, controllers, agents: home.agent, say: observer.say }))
  const metrics = metricsOf({ controllers, cluster, hosts })
  state.update({ kubeconfig: cluster.kubectl.kubeconfig, metrics })

  const { say, stop: signal } = audience
  const inventory = await untilReady({ kube, hosts, controllers, say, signal })
  if (!options.simulated) await watchBoot(boots, inventory, { hosts, say, signal }) // Those boot nothing.
  await audience.ready(inventory, cluster)
  state.update({ phase: 'Ready' })
  hasGuests = true
  await untilAborted(signal)
  state.update({ phase: 'Stopping' })
}

function wantedHosts({ home, simulated }: RunOptions): WantedHosts {
  return simulated ? { simulated: simulated.count } : { storage: home.storage }
}

/** Ports of metrics, by program or host. */
function metricsOf({ controllers, cluster, hosts }: Parts & { readonly controllers: LocalControllers }) {
  const { webhooksMetricsPort: port } = cluster
  const webhooks = port === undefined ? [] : ([['webhooks', port]] as const)
  return Object.fromEntries([...controllers.metricsPorts, ...webhooks, ...hosts.ports])
}

function refuseHalfRestored(home: Home): void {
  if (!existsSync(restoreMark(home))) return
  const message = `a restore of ${home.root} was cut off: do it once more with npm run restore -- FILE`
  throw new LocalError('HOME_UNUSABLE', message)
}

/** After a restore there are some days to bring back what is in the recycle bin again. */
async function readPurgesFrom(home: Home): Promise<Date | undefined> {
  const restoredMs = Date.parse((await readTextFile(restoredFile(home))) ?? '')
  return Number.isNaN(restoredMs) ? undefined : new Date(restoredMs + PURGES_WAIT_MS)
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort')
}

interface Parts {
  readonly cluster: Cluster
  readonly hosts: LocalHosts
}

/** The cluster and the hosts, side by side. What was started is ended with `running`, also when the other one fails. */
async function startParts(
  options: RunOptions,
  observer: Observer,
  { running, audience, hasGuests }: Run,
): Promise<Parts> {
  const { home, env, port, kubeconfig, simulated } = options
  const { stop: signal, hurry } = audience
  const { say } = observer
  if (!simulated) await ensureQemu({ env, say, signal })
  // Both sides prove themselves with these.
  await prepareIdentities(home.agent.pki)
  const [cluster, hosts] = await Promise.allSettled([
    openCluster({ home, env, port, kubeconfig, hosts: wantedHosts(options), observer, signal }).then((opened) =>
      running.use(opened),
    ),
    simulated
      ? startSimulatedHosts({ ...options, ...simulated, observer })
      : startOwnHost({ ...options, observer, signal }),
  ])
  if (hosts.status === 'fulfilled') {
    running.use(hosts.value)
    running.defer(async () => {
      // An end that nobody asked for is no reason to end the guests of somebody.
      const isFailure = !signal.aborted && hasGuests()
      if (audience.keepsGuests() || isFailure) say('guests are left running; the next start takes them over')
      else await hosts.value.stopGuests({ say, hurry })
    })
  }
  if (cluster.status === 'rejected') throw cluster.reason
  if (hosts.status === 'rejected') throw hosts.reason
  return { cluster: cluster.value, hosts: hosts.value }
}

interface Run {
  readonly running: AsyncDisposableStack
  readonly audience: Audience
  /** Whether guests ran before this start, or it has come to its end: then they may be somebody's. */
  readonly hasGuests: () => boolean
}

async function observe({ home }: RunOptions, { say }: Audience) {
  const supervisor = await identify(process.pid)
  if (!supervisor) throw new Error('this process does not see itself in /proc')
  const programs: Record<string, ProcessIdentity | null> = {}
  const state = newStateFile(
    home.state,
    {
      supervisor,
      phase: 'Starting',
      since: new Date().toISOString(),
      kubeconfig: home.kubeconfig,
      programs,
    },
    say,
  )
  const observer: Observer = {
    say,
    changed(name, process) {
      programs[name] = process ?? null
      state.update({ programs })
    },
  }
  return { observer, state }
}
