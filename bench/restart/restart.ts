import { setTimeout as sleep } from 'node:timers/promises'
import { askControllers, failuresSince, reconcileMsSince } from '../controllers.ts'
import { isReady } from '../followed.ts'
import { sinceNextControllers } from '../next-controllers.ts'
import type { BenchOptions } from '../options.ts'
import { startPlatform, type BenchPlatform } from '../platform.ts'
import { createMachine, deleteMachines, followPopulation, inParallel, type Population } from '../scale/machines.ts'
import { destroyingSettings, setUp } from '../settings.ts'
import { median } from '../statistics.ts'
import { pidOf, usageOf } from '../usage.ts'
import { eventsEnded } from '../writes.ts'
import { fillUpTo, sizesUpTo } from './fill.ts'
import { report, type Figures } from './report.ts'

const HOSTS = 50
const LANES = 50
/** Machines that are made to see what one more costs. */
const MORE = 200
const ALONE = 20
/** What the controllers still do for the last machines. */
const SETTLE_MS = 10_000

/**
 * How long controllers that are started again take until they act on a new machine, with few, many and very many there;
 * their memory; how fast so many are made and what goes wrong meanwhile; and what one machine more costs.
 */
export async function benchRestart({ rounds, machines, env, say }: BenchOptions) {
  say(`starting a platform with ${HOSTS} simulated hosts`)
  await using platform = await startPlatform(env, ['--simulated-hosts', String(HOSTS), '--start-delay', '0'])
  await setUp(platform.kube, await destroyingSettings(platform.kube))
  await using population = followPopulation(platform.kube)
  const figures: Figures[] = []
  for (const size of sizesUpTo(machines)) {
    const before = await askControllers(platform.home)
    const filled = await fillUpTo(size, platform.kube, population)
    say(`${size} machines are there, the last ${filled.made} after ${filled.seconds.toFixed(1)} s`)
    await eventsEnded(platform.kube) // They would take a part of what one machine more is measured with.
    const more = await addMore(platform, population, { size, rounds })
    const failures = failuresSince(before, await askControllers(platform.home))
    // Each restart is a new process: this one made them all.
    const made = await usageOf(await pidOf(platform.home, 'controllers'))
    const took: number[] = []
    for (let index = 1; index <= rounds; index++) {
      took.push(await restart(platform, population, `after-${size}-${index}`))
      say(`restart ${index} of ${rounds} with ${size} machines: acted on after ${Math.round(took.at(-1) ?? 0)} ms`)
    }
    await sleep(SETTLE_MS)
    const usage = await usageOf(await pidOf(platform.home, 'controllers'))
    const memory = { rssMb: usage.rssMb, peakRssMb: usage.peakRssMb, makerPeakRssMb: made.peakRssMb }
    figures.push({ machines: size, fill: filled, failures, ...more, restartMs: median(took), ...memory })
  }
  return report({ figures, rounds, say })
}

/**
 * What one machine more costs: many made at once, and some alone, which are deleted again. Once before it counts, so that
 * the compiler has learnt as much among few as among many.
 */
async function addMore(
  platform: BenchPlatform,
  population: Population,
  { size, rounds }: { readonly size: number; readonly rounds: number },
): Promise<OneMore> {
  const played: PlayedMore[] = []
  for (let index = 0; index <= rounds; index++) {
    const prefix = `more-${size}-${index}-`
    played.push(await playMore(platform, population, prefix))
    await deleteMachines(platform.kube, population, prefix)
    await population.untilGone(prefix)
    await eventsEnded(platform.kube)
  }
  const counted = played.slice(1)
  const middle = (figure: (of: PlayedMore) => number) => median(counted.map(figure))
  const costs = counted.map(({ cpuMsPerVm }) => cpuMsPerVm)
  return {
    cpuMsPerVm: median(costs),
    cpuMsSpread: [Math.min(...costs), Math.max(...costs)],
    reconcileMs: {
      virtualMachine: middle(({ reconcileMs }) => reconcileMs.virtualMachine),
      disk: middle(({ reconcileMs }) => reconcileMs.disk),
    },
    readyMs: median(counted.flatMap(({ aloneMs }) => aloneMs)),
  }
}

type OneMore = Pick<Figures, 'cpuMsPerVm' | 'cpuMsSpread' | 'reconcileMs' | 'readyMs'>
type PlayedMore = Pick<Figures, 'cpuMsPerVm' | 'reconcileMs'> & { readonly aloneMs: readonly number[] }

async function playMore({ home, kube }: BenchPlatform, population: Population, prefix: string): Promise<PlayedMore> {
  const pid = await pidOf(home, 'controllers')
  const [before, asked] = [await usageOf(pid), await askControllers(home)]
  await inParallel(MORE, LANES, async (index) => void (await createMachine(kube, `${prefix}${index}`)))
  await population.untilReady(prefix, MORE)
  await eventsEnded(kube)
  const cpuMsPerVm = (((await usageOf(pid)).cpuSeconds - before.cpuSeconds) * 1000) / MORE
  const askedAgain = await askControllers(home)
  const reconcileMs = {
    virtualMachine: reconcileMsSince(asked, askedAgain, 'virtualmachine'),
    disk: reconcileMsSince(asked, askedAgain, 'disk'),
  }
  const aloneMs: number[] = []
  for (let index = 0; index < ALONE; index++) {
    const name = `${prefix}alone-${index}`
    const startedAt = performance.now()
    await createMachine(kube, name)
    await population.untilMachine(name, isReady)
    aloneMs.push(performance.now() - startedAt)
  }
  return { cpuMsPerVm, aloneMs, reconcileMs }
}

/** Milliseconds from the start of the next process until a machine that was made meanwhile has its place. */
async function restart({ home, kube }: BenchPlatform, population: Population, name: string): Promise<number> {
  const pid = await pidOf(home, 'controllers')
  process.kill(pid, 'SIGKILL')
  const placed = async () => {
    await createMachine(kube, name)
    await population.untilMachine(name, ({ status }) => status?.host !== undefined)
  }
  const took = await sinceNextControllers(home, pid, placed())
  await population.untilMachine(name, isReady)
  await sleep(SETTLE_MS)
  return took
}
