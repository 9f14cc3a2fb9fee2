import { setTimeout as sleep } from 'node:timers/promises'
import { RecycledResource } from '../../crds/recycled-resource.ts'
import type { VirtualMachine } from '../../crds/virtual-machine.ts'
import type { Kube } from '../../lib/kube/client.ts'
import { objectPath } from '../../lib/kube/paths.ts'
import type { BenchOptions } from '../options.ts'
import { startPlatform } from '../platform.ts'
import { connectAgents, readAgentTls } from '../scale/hosts.ts'
import { createMachine, deleteMachines, followPopulation, inParallel, type Population } from '../scale/machines.ts'
import { growth } from '../prometheus.ts'
import { countWrites } from '../writes.ts'
import { report, STEPS, type Round, type Step } from './report.ts'

const HOSTS = 50
const LANES = 50
const WARM_UP = 100
/** What events still write after everything is done. */
const SETTLE_MS = 5_000

interface Stage {
  readonly kube: Kube
  readonly home: string
  readonly population: Population
  readonly machines: number
}

/**
 * Many machines over simulated hosts, deleted into the recycle bin, brought back as they were, deleted again and purged.
 * Who deletes them may pass the brake. Throws when one comes back as another, or when something is left at the end.
 */
export async function benchRecycle({ rounds, machines, env, say }: BenchOptions) {
  say(`starting a platform with ${HOSTS} simulated hosts`)
  await using platform = await startPlatform(env, ['--simulated-hosts', String(HOSTS), '--start-delay', '0'])
  const { kube, home } = platform
  await using population = followPopulation(kube)
  const stage: Stage = { kube, home, population, machines }
  await playRound({ ...stage, machines: Math.min(WARM_UP, machines) }, 'warm-')

  const done: Round[] = []
  for (let index = 1; index <= rounds; index++) {
    const took = await playRound(stage, `vm-${index}-`)
    done.push(took)
    const seconds = STEPS.map((step) => `${step} ${took[step].seconds.toFixed(1)} s`)
    say(`round ${index} of ${rounds}: ${seconds.join(', ')}`)
  }
  return report({ rounds: done, machines, say })
}

async function playRound(stage: Stage, prefix: string): Promise<Round> {
  const { kube, population, machines } = stage
  const create = await measure(stage, async () => {
    await inParallel(machines, LANES, async (index) => void (await createMachine(kube, `${prefix}${index}`)))
    await population.untilReady(prefix, machines)
  })
  const identities = identitiesOf(population.machines())
  let again = 0
  const remove = async () => {
    again += await deleteMachines(kube, population)
    await population.untilBinned(machines)
  }
  const deleted = await measure(stage, remove)
  const recover = await measure(stage, async () => {
    await ask(stage, 'Recover')
    await population.untilReady(prefix, machines)
    await population.untilBinEmpty()
  })
  refuseOthers(identities, identitiesOf(population.machines()))
  await remove()
  const purge = await measure(stage, async () => {
    await ask(stage, 'Purge')
    await population.untilBinEmpty()
  })
  await refuseLeftovers(stage)
  return { create, delete: deleted, recover, purge, again }
}

async function measure({ kube }: Stage, work: () => Promise<void>): Promise<Step> {
  const before = await countWrites(kube)
  const startedAt = performance.now()
  await work()
  const seconds = (performance.now() - startedAt) / 1000
  await sleep(SETTLE_MS)
  return { seconds, writes: growth(before, await countWrites(kube)) }
}

async function ask({ kube, population }: Stage, action: 'Recover' | 'Purge'): Promise<void> {
  const entries = population.entries()
  await inParallel(entries.length, LANES, async (index) => {
    const path = objectPath(RecycledResource, { name: entries[index]?.metadata.name ?? '' })
    const contentType = 'application/merge-patch+json'
    await kube.send({ method: 'PATCH', path, contentType, body: { spec: { action } } })
  })
}

/** What a machine is, and where, by its name. */
function identitiesOf(machines: readonly VirtualMachine[]): Map<string, string> {
  return new Map(
    machines.map(({ metadata, status }) => [
      metadata.name,
      JSON.stringify([status?.machineId, status?.host, status?.networks, status?.rootDisk]),
    ]),
  )
}

function refuseOthers(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): void {
  const others = [...before].filter(([name, identity]) => after.get(name) !== identity).length
  if (others > 0 || after.size !== before.size) {
    throw new Error(`${others} of ${before.size} machines came back as others, and there are ${after.size}`)
  }
}

/** Neither in the API nor on the hosts. */
async function refuseLeftovers({ kube, home, population }: Stage): Promise<void> {
  await population.untilDestroyed()
  await using stack = new AsyncDisposableStack()
  const agents = await connectAgents(kube, await readAgentTls(home))
  for (const [host, agent] of agents) {
    const left = (await stack.use(agent).machines()).filter(({ state }) => state !== 'Absent').length
    if (left > 0) throw new Error(`host ${host} has ${left} machines left`)
  }
}
