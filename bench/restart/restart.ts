import { setTimeout as sleep } from 'node:timers/promises'
import type { BenchOptions } from '../options.ts'
import { startPlatform, type BenchPlatform } from '../platform.ts'
import { createMachine, followPopulation, inParallel, type Population } from '../scale/machines.ts'
import { median, round, table } from '../statistics.ts'
import { pidsOf, usageOf } from '../usage.ts'

const HOSTS = 50
const LANES = 50
/** Of which the promise speaks. */
const USUAL = 1_000
const SIZES = [100, USUAL, 10_000]
/** Machines that are made to see what one more costs. */
const MORE = 200
const ALONE = 20
/** What the controllers still do for the last machines. */
const SETTLE_MS = 10_000
const LOOK_MS = 10

interface Figures {
  readonly machines: number
  /** CPU of the controllers for one machine more, of many made at once. */
  readonly cpuMsPerVm: number
  /** From the create of a machine that is made alone until it is Ready. */
  readonly readyMs: number
  readonly restartMs: number
  readonly rssMb: number
  readonly peakRssMb: number
}

/** How long controllers that are started again take until they act on a new machine, with few, many and very many there; their memory; and what one machine more costs. */
export async function benchRestart({ rounds, machines, env, say }: BenchOptions) {
  say(`starting a platform with ${HOSTS} simulated hosts`)
  await using platform = await startPlatform(env, ['--simulated-hosts', String(HOSTS), '--start-delay', '0'])
  await using population = followPopulation(platform.kube)
  const figures: Figures[] = []
  let there = 0
  for (const size of SIZES.filter((many) => many <= machines)) {
    await fill(platform, population, { from: there, to: size })
    there = size
    say(`${size} machines are there`)
    await sleep(SETTLE_MS)
    const oneMore = await addMore(platform, population, `more-${size}-`)
    // Each restart is a new process: this one made them all.
    const made = await usageOf((await pidsOf(platform.home)).get('controllers') ?? 0)
    const took: number[] = []
    for (let index = 1; index <= rounds; index++) {
      took.push(await restart(platform, population, `after-${size}-${index}`))
      say(`restart ${index} of ${rounds} with ${size} machines: acted on after ${Math.round(took.at(-1) ?? 0)} ms`)
    }
    await sleep(SETTLE_MS)
    const usage = await usageOf((await pidsOf(platform.home)).get('controllers') ?? 0)
    const peakRssMb = Math.max(made.peakRssMb, usage.peakRssMb)
    figures.push({ machines: size, ...oneMore, restartMs: median(took), ...usage, peakRssMb })
  }
  return report(figures, rounds, say)
}

async function fill({ kube }: BenchPlatform, population: Population, { from, to }: { from: number; to: number }) {
  await inParallel(to - from, LANES, async (index) => void (await createMachine(kube, `vm-${from + index}`)))
  await population.untilReady('vm-', to)
}

async function addMore({ home, kube }: BenchPlatform, population: Population, prefix: string) {
  const pid = (await pidsOf(home)).get('controllers') ?? 0
  const before = await usageOf(pid)
  await inParallel(MORE, LANES, async (index) => void (await createMachine(kube, `${prefix}${index}`)))
  await population.untilReady(prefix, MORE)
  const cpuMsPerVm = (((await usageOf(pid)).cpuSeconds - before.cpuSeconds) * 1000) / MORE
  const took: number[] = []
  for (let index = 0; index < ALONE; index++) {
    const name = `${prefix}alone-${index}`
    const startedAt = performance.now()
    await createMachine(kube, name)
    await population.untilReady(name, 1)
    took.push(performance.now() - startedAt)
  }
  return { cpuMsPerVm, readyMs: median(took) }
}

/** Milliseconds from the start of the next process until a machine that was made meanwhile has its place. */
async function restart({ home, kube }: BenchPlatform, population: Population, name: string): Promise<number> {
  const pid = (await pidsOf(home)).get('controllers') ?? 0
  process.kill(pid, 'SIGKILL')
  await createMachine(kube, name)
  const placed = population.untilMachine(name, ({ status }) => status?.host !== undefined)
  // Who is killed again and again is left off for longer and longer: that is not what is measured.
  while ([pid, undefined].includes((await pidsOf(home)).get('controllers'))) await sleep(LOOK_MS)
  const startedAt = performance.now()
  await placed
  const took = performance.now() - startedAt
  await population.untilReady(name, 1)
  await sleep(SETTLE_MS)
  return took
}

function report(figures: readonly Figures[], rounds: number, say: (line: string) => void) {
  const columns: readonly (readonly [string, (of: Figures) => number])[] = [
    ['machines', ({ machines }) => machines],
    ['CPU ms for one more', ({ cpuMsPerVm }) => cpuMsPerVm],
    ['ms to Ready, one alone', ({ readyMs }) => readyMs],
    ['ms from restart to act', ({ restartMs }) => restartMs],
    ['MiB', ({ rssMb }) => rssMb],
    ['MiB at most', ({ peakRssMb }) => peakRssMb],
  ]
  const rows = figures.map((of) => columns.map(([, value]) => round(value(of), 1)))
  for (const line of table([columns.map(([name]) => name), ...rows])) say(line)
  const each = (value: (of: Figures) => number) => figures.map((of) => round(value(of), 1))
  const usual = figures.find(({ machines }) => machines === USUAL)
  return {
    restartMs: round(usual?.restartMs ?? Number.NaN, 0),
    peakRssMb: round(usual?.peakRssMb ?? Number.NaN, 0),
    machines: each(({ machines }) => machines),
    cpuMsPerVm: each(({ cpuMsPerVm }) => cpuMsPerVm),
    readyMs: each(({ readyMs }) => readyMs),
    restartMsEach: each(({ restartMs }) => restartMs),
    peakRssMbEach: each(({ peakRssMb }) => peakRssMb),
    rounds,
  }
}
