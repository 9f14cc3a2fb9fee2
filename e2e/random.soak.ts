import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { seededRandom } from '../lib/queue/testing.ts'
import { untilSound } from './testing/invariants.ts'
import { Cast } from './testing/soak/cast.ts'
import { MACHINES, Wishes, type Wish } from './testing/soak/changes.ts'
import { pickFault, untilBack } from './testing/soak/faults.ts'
import { MemoryLog } from './testing/soak/memory.ts'
import { condition, eventually, type Found } from './testing/platform.ts'

const MINUTES = Number(process.env['HOLDFAST_SOAK_MINUTES'] ?? 30)
const SEED = Number(process.env['HOLDFAST_SEED'] ?? Date.now() % 1_000_000)
const FAULT_EVERY_MS = 10_000
const CHANGE_EVERY_MS = 1_000
/** Faults between two looks at whether all is sound. */
const FAULTS_A_ROUND = 6
const PATIENCE_MS = 120_000
/** What a heap may differ by between two moments. What leaks grows by more within half an hour. */
const SLACK_MIB = 20

describe(`${MACHINES} machines for ${MINUTES} min, a fault every 10 s (HOLDFAST_SEED=${SEED})`, () => {
  let cast: Cast

  beforeAll(async () => {
    cast = await Cast.start()
  }, 300_000)
  afterAll(async () => cast[Symbol.asyncDispose](), 180_000)

  test(
    'are as wished for after every round, and no process grows',
    async () => {
      // One each: how many changes there are between two faults depends on the computer.
      const random = seededRandom(SEED)
      const wishes = new Wishes(cast.test.platform, seededRandom(SEED + 1))
      await wishes.begin()
      await untilAsWished(cast, wishes)
      const memory = new MemoryLog({
        controllers: () => cast.lasting.pid,
        'simulated hosts': () => cast.simulated.pid,
        agent: () => agentPid,
        webhooks: () => cast.test.webhooks.pid,
      })
      const agentPid = await cast.test.platform.pid('agent')
      const deadline = performance.now() + MINUTES * 60_000
      for (let round = 1; performance.now() < deadline; round++) {
        const played = await playRound(cast, wishes, random)
        await untilBack(cast)
        await wishes.insist()
        const startedAt = performance.now()
        await untilAsWished(cast, wishes).catch((cause: unknown) => {
          throw new Error(`round ${round}, after ${played.faults.join('; ')}`, { cause })
        })
        await memory.sample()
        const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
        process.stdout.write(
          `round ${round}: ${played.changes} changes; ${played.faults.join('; ')}; sound in ${seconds} s\n`,
        )
      }
      const growth = memory.growth()
      process.stdout.write(`memory, MiB: ${JSON.stringify(growth)}\n`)
      expect(growth.filter(({ earlyMiB, lateMiB }) => lateMiB > earlyMiB + SLACK_MIB)).toEqual([])
    },
    MINUTES * 60_000 + 1_800_000,
  )
})

/** Plays faults one after the other, while the user goes on to change things. */
async function playRound(cast: Cast, wishes: Wishes, random: () => number) {
  const names: string[] = []
  let changes = 0
  const over = new AbortController()
  const changing = async () => {
    while (!over.signal.aborted) {
      if ((await wishes.change()) !== undefined) changes += 1
      await sleep(CHANGE_EVERY_MS)
    }
  }
  const user = changing()
  for (let index = 0; index < FAULTS_A_ROUND; index++) {
    const fault = pickFault(random)
    if (!fault) continue
    names.push(fault.name)
    await Promise.all([fault.play(cast, random()), sleep(FAULT_EVERY_MS)])
  }
  over.abort()
  await user
  return { faults: names, changes }
}

async function untilAsWished(cast: Cast, wishes: Wishes): Promise<void> {
  const { platform } = cast.test
  let wrong: string[] = []
  await eventually(async () => {
    const machines = new Map((await platform.list('virtualmachines')).map((vm) => [vm.metadata.name, vm]))
    const simulated = Map.groupBy(
      (await cast.simulated.machines()).filter(({ state }) => state === 'Running'),
      ({ id }) => id,
    )
    wrong = wishes.all.flatMap((wish) => objections(wish, machines.get(wish.name), simulated))
    return wrong.length === 0
  }, PATIENCE_MS).catch((cause: unknown) => {
    throw new Error(wrong.join('\n'), { cause })
  })
  await untilSound(cast.test)
}

function objections(wish: Wish, vm: Found | undefined, simulated: ReadonlyMap<string, readonly unknown[]>): string[] {
  const { name, exists, runStrategy } = wish
  if (!exists)
    return vm ? [`${name} is still there: ${JSON.stringify([vm.metadata.deletionTimestamp, condition(vm)])}`] : []
  if (!vm) return [`${name} is not there`]
  const shown: Partial<NonNullable<Found['status']>> = vm.status ?? {}
  const wanted = runStrategy === 'Always' ? 'Running' : 'Stopped'
  if (shown.printableStatus !== wanted) return [`${name} is ${String(shown.printableStatus)} and not ${wanted}`]
  return shown.host?.startsWith('simulated') === true ? rivals(name, wanted, simulated.get(shown.machineId ?? '')) : []
}

function rivals(name: string, wanted: string, running: readonly unknown[] = []): string[] {
  return running.length === (wanted === 'Running' ? 1 : 0)
    ? []
    : [`${name} runs ${running.length} times on simulated hosts`]
}
