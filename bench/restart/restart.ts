import { setTimeout as sleep } from 'node:timers/promises'
import { askControllers, failuresSince, reconcileMsSince } from '../controllers.ts'
import { isReady } from '../followed.ts'
import { sinceNextControllers } from '../next-controllers.ts'
import type { BenchOptions } from '../options.ts'
import { startPlatform, type BenchPlatform } from '../platform.ts'
import { createMachine, followPopulation, inParallel, type Population } from '../scale/machines.ts'
import { median } from '../statistics.ts'
import { pidsOf, usageOf } from '../usage.ts'
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
  await using population = followPopulation(platform.kube)
  const figures: Figures[] = []
  for (const size of sizesUpTo(machines)) {
    const before = await askControllers(platform.home)
    const filled = await fillUpTo(size, platform.kube, population)
    say(`${size} machines are there, the last ${filled.made} after ${filled.seconds.toFixed(1)} s`)
    await eventsEnded(platform.kube) // They would take a part of what one machine more is measured with.
    const oneMore = await addMore(platform, population, `more-${size}-`)
    const failures = failuresSince(before, await askControllers(platform.home))
    // Each restart is a new process: this one made them all.
    const made = await usageOf((await pidsOf(platform.home)).get('controllers') ?? 0)
    const atRestart = population.machines().length
    const took: number[] = []
    for (let index = 1; index <= rounds; index++) {
      took.push(await restart(platform, population, `after-${size}-${index}`))
      say(`restart ${index} of ${rounds} with ${size} machines: acted on after ${Math.round(took.at(-1) ?? 0)} ms`)
    }
    await sleep(SETTLE_MS)
    const usage = await usageOf((await pidsOf(platform.home)).get('controllers') ?? 0)
    const memory = { rssMb: usage.rssMb, peakRssMb: usage.peakRssMb, makerPeakRssMb: made.peakRssMb }
    figures.push({ machines: size, atRestart, fill: filled, failures, ...oneMore, restartMs: median(took), ...memory })
  }
  return report({ figures, rounds, say })
}

async function addMore({ home, kube }: BenchPlatform, population: Population, prefix: string) {
  const pid = (await pidsOf(home)).get('controllers') ?? 0
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
  const took: number[] = []
  for (let index = 0; index < ALONE; index++) {
    const name = `${prefix}alone-${index}`
    const startedAt = performance.now()
    await createMachine(kube, name)
    await population.untilMachine(name, isReady)
    took.push(performance.now() - startedAt)
  }
  return { cpuMsPerVm, readyMs: median(took), reconcileMs }
}

/** Milliseconds from the start of the next process until a machine that was made meanwhile has its place. */
async function restart({ home, kube }: BenchPlatform, population: Population, name: string): Promise<number> {
  const pid = (await pidsOf(home)).get('controllers') ?? 0
  process.kill(pid, 'SIGKILL')
  await createMachine(kube, name)
  const placed = population.untilMachine(name, ({ status }) => status?.host !== undefined)
  const took = await sinceNextControllers(home, pid, placed)
  await population.untilReady(name, 1)
  await sleep(SETTLE_MS)
  return took
}
