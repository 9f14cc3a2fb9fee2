import { setTimeout as sleep } from 'node:timers/promises'
import type { HostAgent } from '../../agent/contract.ts'
import { AgentError } from '../../agent/errors.ts'
import type { Home } from '../home.ts'
import type { Observer } from '../processes/supervise.ts'
import { HOST, startAgent } from './agent.ts'
import { provideGuestImage } from './guest-image.ts'
import { hostManifests, type Ending, type LocalHosts } from './hosts.ts'
import { STORAGE } from './objects.ts'

export interface OwnHostOptions {
  readonly home: Home
  readonly env: NodeJS.ProcessEnv
  readonly agentPort: number | undefined
  readonly observer: Observer
  /** Gives up what takes minutes. */
  readonly signal: AbortSignal
}

const PROGRESS_MS = 2_000
const AGENT_BACK_MS = 20_000
const POLL_MS = 200

/** Makes this machine a host: its agent, and an image to boot. */
export async function startOwnHost({ home, env, agentPort, observer, signal }: OwnHostOptions): Promise<LocalHosts> {
  await using undo = new AsyncDisposableStack()
  const [agent, image] = await Promise.allSettled([
    startAgent({ home: home.agent, logs: home.logs, port: agentPort, env, observer }).then(({ child, ...rest }) => {
      undo.defer(() => child.stop())
      undo.use(rest.connection)
      return rest
    }),
    provideGuestImage(home.agent.imports, { env, say: observer.say, signal }),
  ])
  if (agent.status === 'rejected') throw agent.reason
  if (image.status === 'rejected') throw image.reason
  const { port, connection } = agent.value
  const running = undo.move()
  return {
    name: HOST,
    manifests: hostManifests({ name: HOST, port, storage: STORAGE, path: home.storage }),
    ports: new Map([[HOST, port]]),
    samples: ['image.yaml', 'virtual-machine.yaml'],
    machines: () => connection.machines(),
    stopGuests: (ending) => stopGuests(connection, ending),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  }
}

/** Shuts the guests of this machine down. Those that take longer than the user wants to wait run on. */
async function stopGuests(agent: HostAgent, { say, hurry }: Ending): Promise<void> {
  const running = async () => (await agent.machines()).filter(({ pid }) => pid !== undefined).map(({ name }) => name)
  const timer = setInterval(() => {
    void running().then(
      (names) => names.length > 0 && say(`waiting for ${names.join(', ')}`),
      () => undefined,
    )
  }, PROGRESS_MS)
  try {
    if ((await whenItAnswers(running, hurry)).length === 0) return
    say('shutting guests down; Ctrl-C now leaves them running')
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
