import { setTimeout as sleep } from 'node:timers/promises'
import type { BenchOptions } from '../options.ts'
import { startPlatform, type BenchPlatform } from '../platform.ts'
import { createMachine, followPopulation, inParallel, type Population } from '../scale/machines.ts'
import { median, table } from '../statistics.ts'
import { pidsOf, usageOf } from '../usage.ts'

const HOSTS = 50
const LANES = 50
const SIZES = [1_000, 10_000]
/** What the controllers still do for the last machines. */
const SETTLE_MS = 10_000
const LOOK_MS = 50

interface Figures {
  readonly machines: number
  readonly restartMs: number
  readonly rssMb: number
  readonly peakRssMb: number
}

/** How long controllers that were killed take until they act on a new machine, with many there; and their memory. */
export async function benchRestart({ rounds, env, say }: BenchOptions) {
  say(`starting a platform with ${HOSTS} simulated hosts`)
  await using platform = await startPlatform(env, ['--simulated-hosts', String(HOSTS), '--start-delay', '0'])
  await using population = followPopulation(platform.kube)
  const figures: Figures[] = []
  let there = 0
  for (const size of SIZES) {
    await fill(platform, population, { from: there, to: size })
    there = size
    say(`${size} machines are there`)
    await sleep(SETTLE_MS)
    const took: number[] = []
    for (let index = 1; index <= rounds; index++) {
      took.push(await restart(platform, population, `after-${size}-${index}`))
      say(`restart ${index} of ${rounds} with ${size} machines: acted on after ${Math.round(took.at(-1) ?? 0)} ms`)
    }
    await sleep(SETTLE_MS)
    const usage = await usageOf((await pidsOf(platform.home)).get('controllers') ?? 0)
    figures.push({ machines: size, restartMs: median(took), ...usage })
  }
  return report(figures, rounds, say)
}

async function fill({ kube }: BenchPlatform, population: Population, { from, to }: { from: number; to: number }) {
  await inParallel(to - from, LANES, async (index) => void (await createMachine(kube, `vm-${from + index}`)))
  await population.untilReady('vm-', to)
}

/** Milliseconds from the kill until a machine that was made meanwhile has its place. */
async function restart({ home, kube }: BenchPlatform, population: Population, name: string): Promise<number> {
  const pid = (await pidsOf(home)).get('controllers') ?? 0
  const startedAt = performance.now()
  process.kill(pid, 'SIGKILL')
  await createMachine(kube, name)
  await population.untilMachine(name, ({ status }) => status?.host !== undefined)
  const took = performance.now() - startedAt
  await population.untilReady(name, 1)
  while ((await pidsOf(home)).get('controllers') === pid) await sleep(LOOK_MS)
  await sleep(SETTLE_MS)
  return took
}

function report(figures: readonly Figures[], rounds: number, say: (line: string) => void) {
  for (const line of table([
    ['controllers killed', 'ms until a new machine is acted on', 'MiB', 'MiB at most'],
    ...figures.map(({ machines, restartMs, rssMb, peakRssMb }) => [
      `with ${machines} machines`,
      Math.round(restartMs),
      Math.round(rssMb),
      Math.round(peakRssMb),
    ]),
  ]))
    say(line)
  const each = (figure: (of: Figures) => number) => figures.map((of) => Math.round(figure(of)))
  const [restartMs, restartLargeMs] = each((of) => of.restartMs)
  const [peakRssMb, peakRssLargeMb] = each((of) => of.peakRssMb)
  return { restartMs, peakRssMb, restartLargeMs, peakRssLargeMb, sizes: each((of) => of.machines), rounds }
}
