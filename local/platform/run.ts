import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { AgentError } from '../../agent/errors.ts'
import type { HostAgent } from '../../agent/contract.ts'
import { Kube } from '../../lib/kube/client.ts'
import { LocalError } from '../errors.ts'
import { lockHome, type Home } from '../home.ts'
import { identify, type ProcessIdentity } from '../../lib/process-identity.ts'
import type { Observer } from '../processes/supervise.ts'
import { controllersTls, startAgent, type LocalAgent } from './agent.ts'
import { markBoots, watchBoot } from './boot.ts'
import { openCluster, type Cluster } from './cluster.ts'
import { startControllers } from './controllers.ts'
import { provideGuestImage } from './guest-image.ts'
import { makeObjects } from './objects.ts'
import { ensureQemu } from './qemu.ts'
import { keepRenewed } from './renewal.ts'
import { untilReady, type Inventory } from './readiness.ts'
import { newStateFile } from './state.ts'

export interface RunOptions {
  readonly home: Home
  readonly env: NodeJS.ProcessEnv
  readonly port: number | undefined
  readonly agentPort: number | undefined
  readonly kubeconfig: string | undefined
  /** Processes of the controllers. */
  readonly controllers: number
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
}

const PROGRESS_MS = 2_000
const AGENT_BACK_MS = 20_000
const POLL_MS = 200

/** Runs the whole platform on this machine until it is asked to stop, and ends all of it. The home must be prepared. */
export async function runPlatform(options: RunOptions, audience: Audience): Promise<void> {
  const { home } = options
  await using running = new AsyncDisposableStack()
  running.use(await lockHome(home))

  const boots = await markBoots(home)
  const { observer, state } = await observe(options, audience)
  running.use(state)
  const { cluster, agent } = await startParts(options, observer, { running, audience })
  if (audience.stop.aborted) throw new LocalError('INTERRUPTED', 'stopped before everything was ready')
  const kube = running.use(await Kube.connect(cluster.kubectl.kubeconfig, { environment: options.env }))
  await makeObjects(cluster.kubectl, kube, { agentPort: agent.port, storage: home.storage })
  const controllers = await startControllers(options.controllers, {
    kubeconfig: cluster.controllersKubeconfig,
    agentTls: controllersTls(home.agent),
    logs: home.logs,
    logLevel: options.env['HOLDFAST_LOG_LEVEL'],
    observer,
  })
  running.defer(() => controllers.stop())
  running.use(keepRenewed({ cluster, controllers, agents: home.agent, say: observer.say }))
  state.update({ kubeconfig: cluster.kubectl.kubeconfig })

  const { say, stop: signal } = audience
  const inventory = await untilReady({ kube, agent: agent.connection, say, signal })
  await watchBoot(boots, inventory, { say, signal })
  await audience.ready(inventory, cluster)
  state.update({ phase: 'Ready' })
  await untilAborted(signal)
  state.update({ phase: 'Stopping' })
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort')
}

interface Ending {
  readonly running: AsyncDisposableStack
  readonly audience: Audience
}

/** The cluster and the agent, side by side. What was started is ended with `running`, also when the other one fails. */
async function startParts(options: RunOptions, observer: Observer, { running, audience }: Ending): Promise<Parts> {
  const { home, env, port, agentPort, kubeconfig } = options
  const { stop: signal } = audience
  await ensureQemu({ env, say: observer.say, signal })
  const starting = Promise.allSettled([
    openCluster({ home, env, port, kubeconfig, observer, signal }).then((cluster) => running.use(cluster)),
    startAgent({ home: home.agent, logs: home.logs, port: agentPort, env, observer }),
    provideGuestImage(home.agent.imports, { env, say: observer.say, signal }),
  ])
  const [cluster, agent, image] = await starting
  if (agent.status === 'fulfilled') {
    const { child, connection } = agent.value
    running.defer(() => child.stop())
    running.use(connection)
    running.defer(() => stopGuests(connection, audience))
  }
  for (const part of [cluster, agent, image]) if (part.status === 'rejected') throw part.reason
  if (cluster.status === 'rejected' || agent.status === 'rejected') throw new Error('unreachable')
  return { cluster: cluster.value, agent: agent.value }
}

interface Parts {
  readonly cluster: Cluster
  readonly agent: LocalAgent
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

/** An agent that was killed a moment ago is just being started again. */
async function whenItAnswers<T>(ask: () => Promise<T>, hurry: AbortSignal): Promise<T> {
  const deadline = performance.now() + AGENT_BACK_MS
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      const isAway = error instanceof AgentError && error.code === 'UNREACHABLE'
      if (!isAway || hurry.aborted || performance.now() > deadline) throw error
    }
    await sleep(POLL_MS)
  }
}

/** Shuts the guests of this machine down. Those that take longer than the user wants to wait run on. */
async function stopGuests(agent: HostAgent, { say, hurry }: Audience): Promise<void> {
  const running = async () => (await agent.machines()).filter(({ pid }) => pid !== undefined).map(({ name }) => name)
  const timer = setInterval(() => {
    void running().then(
      (names) => names.length > 0 && say(`waiting for ${names.join(', ')}`),
      () => undefined,
    )
  }, PROGRESS_MS)
  try {
    if ((await whenItAnswers(running, hurry)).length === 0) return
    say('shutting guests down; once more Ctrl-C leaves them running')
    await Promise.race([
      agent.stopGuests(),
      sleep(2 ** 31 - 1, undefined, { signal: hurry, ref: false }).catch(() => undefined),
    ])
    const left = await running()
    if (left.length > 0) say(`${left.join(', ')} run on; the next start takes them over`)
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    say(`guests could not be shut down and run on: ${error.message}`)
  } finally {
    clearInterval(timer)
  }
}
