import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { HostAgent } from '../../agent/contract.ts'
import { Disk } from '../../crds/disk.ts'
import { rootDiskName } from '../../crds/virtual-machine.ts'
import { Kube } from '../../lib/kube/client.ts'
import { objectPath } from '../../lib/kube/paths.ts'
import { askControllers, failuresSince } from '../controllers.ts'
import type { BenchOptions } from '../options.ts'
import { CONTROLLERS_KUBECONFIG, startPlatform } from '../platform.ts'
import { destroyingSettings, setUp } from '../settings.ts'
import { cpuSecondsSince, usagesOf } from '../usage.ts'
import { growth } from '../prometheus.ts'
import { countWrites, eventsEnded, isKept } from '../writes.ts'
import { connectAgents, readAgentTls, type AgentTls } from './hosts.ts'
import { createMachine, deleteMachines, followPopulation, inParallel, type Population } from './machines.ts'
import { record } from './recording.ts'
import { replay, scriptOf, type Script } from './replay.ts'
import { report, type Round } from './report.ts'
import { withoutControllers } from './without-controllers.ts'

const HOSTS = 50
const LANES = 50
const WARM_UP = 200
const IDLE_MS = 60_000
/** What events and leases still write after everything is Ready. */
const SETTLE_MS = 5_000

interface Stage {
  readonly kube: Kube
  /** As the controllers, whose writes are not put before the webhooks. */
  readonly controllers: Kube
  readonly home: string
  readonly tls: AgentTls
  readonly population: Population
  readonly machines: number
}

/**
 * Many machines over simulated hosts, next to a client that thinks of nothing and only sends again what Holdfast sent
 * for one of them. In turns; and how much is written and used while nothing happens.
 */
export async function benchScale({ rounds, machines, env, say }: BenchOptions) {
  say(`starting a platform with ${HOSTS} simulated hosts`)
  await using platform = await startPlatform(env, ['--simulated-hosts', String(HOSTS), '--start-delay', '0'])
  const { kube, home } = platform
  await using population = followPopulation(kube)
  await setUp(kube, await destroyingSettings(kube))
  await using controllers = await Kube.connect(join(home, CONTROLLERS_KUBECONFIG))
  const stage: Stage = { kube, controllers, home, tls: await readAgentTls(home), population, machines }

  say('looking at what the controllers do for one machine')
  const { result: script } = await withoutControllers(stage, () => watchOne(stage))
  await settled(stage, 'warm', WARM_UP)
  await removeAll(stage)

  const done: Round[] = []
  for (let index = 1; index <= rounds; index++) {
    const played = await playRound(stage, script, index)
    done.push(played)
    say(
      `round ${index} of ${rounds}: replay ${rate(machines, played.replaySeconds)}, Holdfast ${rate(machines, played.seconds)} machines a second, ${rate(machines, played.seconds + played.tail.seconds)} with their last event; all deleted in ${played.deleteSeconds.toFixed(1)} s`,
    )
  }
  return report({ rounds: done, machines, say })
}

const rate = (machines: number, seconds: number) => (machines / seconds).toFixed(1)

/** Neither is always the first: what the computer does meanwhile falls on both. */
async function playRound(stage: Stage, script: Script, index: number): Promise<Round> {
  const replayed = () => replayRound(stage, script, `replay-${index}-`)
  if (index % 2 === 1) {
    const first = await replayed()
    return { ...first, ...(await holdfastRound(stage, `vm-${index}-`)) }
  }
  const first = await holdfastRound(stage, `vm-${index}-`)
  return { ...first, ...(await replayed()) }
}

async function replayRound(stage: Stage, script: Script, prefix: string) {
  const { result, restartMs } = await withoutControllers(stage, () => replayMany(stage, script, prefix))
  await removeAll(stage)
  return { replaySeconds: result, restartMs }
}

async function holdfastRound(stage: Stage, prefix: string) {
  const made = await makeMany(stage, prefix)
  const idle = await idleUsage(stage)
  const usage = await usagesOf(stage.home)
  return { ...made, idle, usage, deleteSeconds: await removeAll(stage) }
}

async function watchOne({ kube, controllers, tls, population }: Stage): Promise<Script> {
  const name = 'holdfast-model'
  const steps = await record(controllers, tls, async () => {
    await createMachine(kube, name)
    await population.untilReady(name, 1)
    await sleep(SETTLE_MS)
  })
  const vm = await population.untilMachine(name, () => true)
  const { body } = await kube.send<Disk>({
    method: 'GET',
    path: objectPath(Disk, { namespace: 'default', name: rootDiskName(vm) }),
  })
  return scriptOf(vm, body.metadata.uid, steps)
}

async function replayMany(
  { kube, controllers, tls, machines }: Stage,
  script: Script,
  prefix: string,
): Promise<number> {
  await using stack = new AsyncDisposableStack()
  const agents = await connectAgents(kube, tls)
  for (const agent of agents.values()) stack.use(agent)
  const to = { kube: controllers, agents: agents as ReadonlyMap<string, HostAgent> }
  const names = [...agents.keys()]
  await Promise.all([...agents.values()].map((agent) => agent.machines())) // So that each is connected, as the controllers are.
  const startedAt = performance.now()
  await inParallel(machines, LANES, async (index) => {
    const { metadata } = await createMachine(kube, `${prefix}${index}`)
    await replay(script, { ...metadata, host: names[index % names.length] ?? '' }, to)
  })
  return (performance.now() - startedAt) / 1000
}

/** Seconds from the first create until all are Ready. */
async function settled({ kube, population }: Stage, prefix: string, count: number): Promise<number> {
  const startedAt = performance.now()
  await inParallel(count, LANES, async (index) => void (await createMachine(kube, `${prefix}${index}`)))
  await population.untilReady(prefix, count)
  return (performance.now() - startedAt) / 1000
}

type Made = Pick<Round, 'seconds' | 'tail' | 'writes' | 'cpuSeconds' | 'failures'>

async function makeMany(stage: Stage, prefix: string): Promise<Made> {
  const { kube, home, machines } = stage
  const [before, usedBefore, asked] = [await countWrites(kube), await usagesOf(home), await askControllers(home)]
  const seconds = await settled(stage, prefix, machines)
  const tail = await eventsEnded(kube)
  const cpuSeconds = cpuSecondsSince(usedBefore, await usagesOf(home))
  const failures = failuresSince(asked, await askControllers(home))
  return { seconds, tail, writes: growth(before, await countWrites(kube)), cpuSeconds, failures }
}

async function removeAll({ kube, population }: Stage): Promise<number> {
  const startedAt = performance.now()
  await deleteMachines(kube, population)
  await population.untilDestroyed()
  return (performance.now() - startedAt) / 1000
}

/** What happens in a minute in which nobody wants anything. */
async function idleUsage({ kube, home }: Stage) {
  const [before, used] = [await countWrites(kube), await usagesOf(home)]
  await sleep(IDLE_MS)
  const cpu = cpuSecondsSince(used, await usagesOf(home)).get('controllers') ?? 0
  const writes = [...growth(before, await countWrites(kube))].filter(([key]) => isKept(key))
  return { writes: new Map(writes), cpuPercent: (cpu * 100_000) / IDLE_MS }
}
