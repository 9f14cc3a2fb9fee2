import { leaderLease } from '../../crds/leader-lease.ts'
import type { Kube } from '../../lib/kube/client.ts'
import { leaseStore } from '../../lib/kube/lease-store.ts'
import type { BenchOptions } from '../options.ts'
import { startPlatform } from '../platform.ts'
import { connectAgents, readAgentTls, type AgentTls } from '../scale/hosts.ts'
import { createMachine, deleteMachines, followPopulation, inParallel, type Population } from '../scale/machines.ts'
import { withoutControllers } from '../scale/without-controllers.ts'
import { destroyingSettings, setUp } from '../settings.ts'
import { pidOf, usageOf } from '../usage.ts'
import { growth } from '../prometheus.ts'
import { countWrites, eventsEnded, writesPerMachine } from '../writes.ts'
import { buildOperator, startOperator } from './operator.ts'
import { report, type Round, type Turn } from './report.ts'

const HOSTS = 50
const LANES = 50
/** Made by each process before it is measured: a compiler that learns as it goes has learnt most by then. They stay. */
const WARM_UP = 100
const LEASE_MS = 5_000
/** So little may writes a machine differ: a host may have told of a machine twice. */
const SAME_WRITES = 0.02

interface Stage {
  readonly kube: Kube
  readonly home: string
  readonly tls: AgentTls
  readonly population: Population
  readonly machines: number
  /** Of the operator. */
  readonly program: string
}

/**
 * Many machines over simulated hosts, made by Holdfast and by an operator in Go that does the same with
 * controller-runtime, in turns on one platform. Each turn begins with a new process. All is deleted by Holdfast.
 */
export async function benchControllerRuntime({ rounds, machines, env, say }: BenchOptions) {
  const program = await buildOperator(env, say)
  say(`starting a platform with ${HOSTS} simulated hosts`)
  await using platform = await startPlatform(env, ['--simulated-hosts', String(HOSTS), '--start-delay', '0'])
  const { kube, home } = platform
  await using population = followPopulation(kube)
  await setUp(kube, await destroyingSettings(kube))
  const stage: Stage = { kube, home, tls: await readAgentTls(home), population, machines, program }

  const done: Round[] = []
  for (let index = 1; index <= rounds; index++) {
    const turns = await playRound(stage, index)
    done.push(turns)
    const rate = ({ seconds }: Turn) => (machines / seconds).toFixed(1)
    say(
      `round ${index} of ${rounds}: Holdfast ${rate(turns.holdfast)}, controller-runtime ${rate(turns.controllerRuntime)} machines a second`,
    )
  }
  return report({ rounds: done, machines, say })
}

/** Who begins changes from round to round. */
async function playRound(stage: Stage, index: number): Promise<Round> {
  const isFirst = index % 2 === 1
  const before = isFirst ? await playHoldfast(stage, `holdfast-${index}-`) : undefined
  const controllerRuntime = await playOperator(stage, `operator-${index}-`)
  const holdfast = before ?? (await playHoldfast(stage, `holdfast-${index}-`))
  refuseLess(stage, holdfast, controllerRuntime)
  return { holdfast, controllerRuntime }
}

/** Who writes less than the other has done less, and is no measure. */
function refuseLess({ machines }: Stage, holdfast: Turn, controllerRuntime: Turn): void {
  const [ours, theirs] = [holdfast, controllerRuntime].map(({ writes }) => writesPerMachine(writes, machines).all)
  if (ours === undefined || theirs === undefined || Math.abs(ours - theirs) <= SAME_WRITES) return
  throw new Error(`Holdfast wrote ${ours} times for a machine, and the operator ${theirs} times`)
}

async function playHoldfast(stage: Stage, prefix: string): Promise<Turn> {
  await withoutControllers(stage, () => Promise.resolve()) // A process that was there before has memory that it had for more.
  const turn = await measure(stage, prefix, await pidOf(stage.home, 'controllers'))
  await removeAll(stage)
  return turn
}

async function playOperator(stage: Stage, prefix: string): Promise<Turn> {
  const { kube, home, program } = stage
  const { result: turn } = await withoutControllers(stage, async () => {
    const lease = await leaseStore(kube, leaderLease, LEASE_MS).read()
    await using operator = await startOperator({ program, home, term: lease?.term ?? 1 })
    return await Promise.race([measure(stage, prefix, operator.pid), operator.ended])
  })
  await removeAll(stage)
  return turn
}

async function measure(stage: Stage, prefix: string, pid: number): Promise<Turn> {
  const { kube, home, machines } = stage
  await makeMany(stage, `warm-${prefix}`, WARM_UP)
  await eventsEnded(kube)
  const apiServer = await pidOf(home, 'kube-apiserver')
  const cpuSeconds = async () => Promise.all([pid, apiServer].map(async (id) => (await usageOf(id)).cpuSeconds))
  const [before, [usedBefore = 0, serverBefore = 0]] = [await countWrites(kube), await cpuSeconds()]
  const startedAt = performance.now()
  await makeMany(stage, prefix, machines)
  const seconds = (performance.now() - startedAt) / 1000
  const tail = await eventsEnded(kube)
  const [usedAfter = 0, serverAfter = 0] = await cpuSeconds()
  const writes = growth(before, await countWrites(kube))
  const { peakRssMb } = await usageOf(pid)
  const running = (await machinesOnHosts(stage)).filter(({ name, state }) => isOf(name, prefix) && state === 'Running')
  if (running.length !== machines) throw new Error(`${running.length} of ${machines} machines run on the hosts`)
  return {
    seconds,
    tail,
    cpuSeconds: usedAfter - usedBefore,
    apiServerCpuSeconds: serverAfter - serverBefore,
    peakRssMb,
    writes,
  }
}

const isOf = (name: string, prefix: string) => name.startsWith(`default/${prefix}`)

async function makeMany({ kube, population }: Stage, prefix: string, count: number): Promise<void> {
  await inParallel(count, LANES, async (index) => void (await createMachine(kube, `${prefix}${index}`)))
  await population.untilReady(prefix, count)
}

/** Throws when a host keeps any of it. */
async function removeAll(stage: Stage): Promise<void> {
  await deleteMachines(stage.kube, stage.population)
  await stage.population.untilDestroyed()
  const left = (await machinesOnHosts(stage)).filter(({ state }) => state !== 'Absent')
  if (left.length > 0) throw new Error(`hosts still have ${left.length} machines, such as ${left[0]?.name}`)
}

async function machinesOnHosts({ kube, tls }: Stage) {
  await using stack = new AsyncDisposableStack()
  const agents = [...(await connectAgents(kube, tls)).values()]
  for (const agent of agents) stack.use(agent)
  return (await Promise.all(agents.map((agent) => agent.machines()))).flat()
}
