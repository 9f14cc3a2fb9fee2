import { parseArgs } from 'node:util'
import { benchAgent } from './agent/agent.ts'
import { benchControllerRuntime } from './controller-runtime/controller-runtime.ts'
import { undoWhenInterrupted } from './interruption.ts'
import { readCount, readMachines, type BenchOptions, type Machines } from './options.ts'
import { benchNeighbours } from './neighbours/neighbours.ts'
import { benchRecycle } from './recycle/recycle.ts'
import { benchRestart } from './restart/restart.ts'
import { benchScale } from './scale/scale.ts'
import { benchVm } from './vm/vm.ts'
import { benchWebhook } from './webhook/webhook.ts'

const MOST_ROUNDS = 100

interface Benchmark {
  readonly run: (options: BenchOptions) => Promise<object>
  readonly rounds: number
  readonly machines: Machines
}

const MACHINES: Machines = { usual: 1_000, least: 1, most: 20_000 }
/** Where two take turns, each begins as often as the other. */
const benchmarks: ReadonlyMap<string, Benchmark> = new Map([
  ['vm', { run: benchVm, rounds: 15, machines: undefined }],
  ['scale', { run: benchScale, rounds: 4, machines: MACHINES }],
  ['controller-runtime', { run: benchControllerRuntime, rounds: 4, machines: MACHINES }],
  ['neighbours', { run: benchNeighbours, rounds: 3, machines: MACHINES }],
  // It compares 100 with more.
  ['restart', { run: benchRestart, rounds: 3, machines: { usual: 10_000, least: 500, most: 20_000 } }],
  ['webhook', { run: benchWebhook, rounds: 7, machines: MACHINES }],
  ['recycle', { run: benchRecycle, rounds: 3, machines: MACHINES }],
  ['agent', { run: benchAgent, rounds: 3, machines: { usual: 50, least: 1, most: 500 } }],
])
const USAGE = `usage: npm run bench -- NAME [--rounds N] [--machines N]
  vm      from apply to a running guest, next to the same calls made by hand; API writes a machine
  scale   1,000 machines over 50 simulated hosts, next to a client that only sends the same calls; writes, memory, CPU
  controller-runtime
          1,000 machines, next to an operator in Go that does the same with controller-runtime; memory, CPU; needs Go
  neighbours
          machines on hosts that are well, while others are slow, dead or flooding, each alone and all at once
  restart controllers started again with 100, 1,000 and 10,000 machines: time until a new one is acted on, memory, cost of
          one more, and how fast and with which errors they were all made
  webhook latency of admission among 1,000 machines, next to a webhook that allows everything; memory
  recycle 1,000 machines deleted into the recycle bin, brought back, and purged: seconds and API writes of each
  agent   memory and CPU of an agent whose 50 guests do nothing`

interface Asked {
  readonly name: string
  readonly benchmark: Benchmark
  readonly rounds: number
  readonly machines: number
}

/** Throws a sentence about what is not understood. */
function readArguments(): Asked {
  const options = { rounds: { type: 'string' }, machines: { type: 'string' } } as const
  const { values, positionals } = parseArgs({ options, allowPositionals: true })
  const [name, ...others] = positionals
  if (name === undefined) throw new Error('name a benchmark')
  const benchmark = benchmarks.get(name)
  if (!benchmark) throw new Error(`there is no benchmark ${name}`)
  if (others.length > 0) throw new Error(`${others[0]} is one too many: one benchmark runs at a time`)
  const rounds = readCount('--rounds', values.rounds, { usual: benchmark.rounds, least: 1, most: MOST_ROUNDS })
  const machines = readMachines(name, values.machines, benchmark.machines)
  return { name, benchmark, rounds, machines }
}

async function main(): Promise<void> {
  const say = (line: string) => void process.stdout.write(`${line}\n`)
  let asked: Asked
  try {
    asked = readArguments()
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}\n`)
    process.exitCode = 2
    return
  }
  const { name, benchmark, rounds, machines } = asked
  undoWhenInterrupted(say)
  const figures = await benchmark.run({ rounds, machines, env: process.env, say })
  say(JSON.stringify({ bench: name, ...figures }))
}

await main()
