import { Host } from '../../crds/host.ts'
import type { Kube } from '../../lib/kube/client.ts'
import { objectPath } from '../../lib/kube/paths.ts'
import { askControllers } from '../controllers.ts'
import type { BenchOptions } from '../options.ts'
import { startPlatform } from '../platform.ts'
import { growth, sumOf } from '../prometheus.ts'
import { createMachine, deleteMachines, followPopulation, inParallel, type Population } from '../scale/machines.ts'
import { destroyingSettings, setUp } from '../settings.ts'
import { CASES, NAMES, report, type Case, type Round, type Run } from './report.ts'
import { begin, end, has, standBefore, TROUBLED, type Neighbours } from './troubles.ts'

const HOSTS = 50
const LANES = 50
/** Machines that are ordered to a host that is slow or dead: more than there are places for reconciles. */
const BESIDE = 20
const NOTICED_MS = 60_000
const MICROSECONDS = 1e6

interface Stage {
  readonly kube: Kube
  readonly home: string
  readonly population: Population
  readonly neighbours: Neighbours
  readonly machines: number
}

/**
 * Machines on hosts that are well, while others are slow, dead and flooding, each alone and all at once; next to the same
 * when all are well and nothing is ordered to those others. What is ordered to them counts against us: its writes too
 * take their time.
 */
export async function benchNeighbours({ rounds, machines, env, say }: BenchOptions) {
  say(`starting a platform with ${HOSTS} simulated hosts`)
  await using platform = await startPlatform(env, ['--simulated-hosts', String(HOSTS), '--start-delay', '0'])
  const { kube, home } = platform
  await setUp(kube, await destroyingSettings(kube))
  await using population = followPopulation(kube)
  await using neighbours = await standBefore(kube, home, `simulated-hosts-${HOSTS}`)
  const stage: Stage = { kube, home, population, neighbours, machines }
  await untilConnected(kube)
  await makeOnHealthy(stage, 'warm-')
  await removeAll(stage)

  const done: Round[] = []
  for (let index = 1; index <= rounds; index++) {
    const tell = (name: Case, { vmsPerSecond }: Run) =>
      say(`round ${index} of ${rounds}, ${NAMES[name]}: ${vmsPerSecond.toFixed(1)} machines a second`)
    done.push(await playRound(stage, index, tell))
  }
  return report({ rounds: done, machines, hosts: HOSTS - Object.keys(TROUBLED).length, say })
}

/** None is always the first. */
async function playRound(stage: Stage, index: number, tell: (name: Case, run: Run) => void): Promise<Round> {
  const runs = new Map<Case, Run>()
  for (const turn of CASES.keys()) {
    const name = CASES[(turn + index - 1) % CASES.length] ?? 'well'
    const run = await play(stage, name, `${name}-${index}-`)
    tell(name, run)
    runs.set(name, run)
  }
  const of = (name: Case) => {
    const run = runs.get(name)
    if (!run) throw new Error(`${name} was not played`)
    return run
  }
  return { well: of('well'), slow: of('slow'), dead: of('dead'), flooding: of('flooding'), together: of('together') }
}

async function play(stage: Stage, name: Case, prefix: string): Promise<Run> {
  const { kube, home, population, neighbours, machines } = stage
  await createMachine(kube, `${prefix}flooder`, TROUBLED.flooding)
  await population.untilReady(`${prefix}flooder`, 1)
  const asked = await askControllers(home)
  await begin(neighbours, name)
  const before = process.cpuUsage()
  const beside = (['slow', 'dead'] as const).filter((trouble) => has(name, trouble))
  for (const trouble of beside) await order(stage, TROUBLED[trouble], `${prefix}beside-${trouble}-`)
  const seconds = await makeOnHealthy(stage, prefix)
  const { user, system } = process.cpuUsage(before)
  end(neighbours)
  await population.untilReady(`${prefix}beside-`, beside.length * BESIDE)
  const waited = growth(asked.agentSeconds, (await askControllers(home)).agentSeconds)
  await untilConnected(kube)
  await removeAll(stage)
  return {
    vmsPerSecond: machines / seconds,
    benchCpuSeconds: (user + system) / MICROSECONDS,
    waitedSeconds: sumOf(waited, (host) => Object.values(TROUBLED).includes(host)),
  }
}

/** Seconds until so many machines are Ready, all of them on hosts that are well. */
async function makeOnHealthy({ kube, population, machines }: Stage, prefix: string): Promise<number> {
  const troubled = Object.keys(TROUBLED).length
  const startedAt = performance.now()
  await inParallel(machines, LANES, async (index) => {
    const host = `simulated-${1 + troubled + (index % (HOSTS - troubled))}`
    await createMachine(kube, `${prefix}on-healthy-${index}`, host)
  })
  await population.untilReady(`${prefix}on-healthy-`, machines)
  return (performance.now() - startedAt) / 1000
}

/** Machines for a host that may not be able to make them now. */
async function order({ kube }: Stage, host: string, prefix: string): Promise<void> {
  await inParallel(BESIDE, LANES, async (index) => void (await createMachine(kube, `${prefix}${index}`, host)))
}

async function removeAll({ kube, population }: Stage): Promise<void> {
  await deleteMachines(kube, population)
  await population.untilDestroyed()
}

async function untilConnected(kube: Kube): Promise<void> {
  const deadline = performance.now() + NOTICED_MS
  for (const name of Object.values(TROUBLED)) {
    while (!(await isConnected(kube, name))) {
      if (performance.now() > deadline) throw new Error(`host ${name} does not come back`)
    }
  }
}

async function isConnected(kube: Kube, name: string): Promise<boolean> {
  const { body } = await kube.send<Host>({ method: 'GET', path: objectPath(Host, { name }) })
  return body.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
}
