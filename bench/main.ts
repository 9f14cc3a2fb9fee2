import { parseArgs } from 'node:util'
import { benchAgent } from './agent/agent.ts'
import { benchControllerRuntime } from './controller-runtime/controller-runtime.ts'
import type { BenchOptions } from './options.ts'
import { benchNeighbours } from './neighbours/neighbours.ts'
import { benchRecycle } from './recycle/recycle.ts'
import { benchRestart } from './restart/restart.ts'
import { benchScale } from './scale/scale.ts'
import { benchVm } from './vm/vm.ts'
import { benchWebhook } from './webhook/webhook.ts'

interface Benchmark {
  readonly run: (options: BenchOptions) => Promise<object>
  readonly rounds: number
  readonly machines: number
}

const MACHINES = 1_000
const benchmarks: ReadonlyMap<string, Benchmark> = new Map([
  ['vm', { run: benchVm, rounds: 15, machines: 1 }],
  ['scale', { run: benchScale, rounds: 3, machines: MACHINES }],
  ['controller-runtime', { run: benchControllerRuntime, rounds: 3, machines: MACHINES }],
  ['neighbours', { run: benchNeighbours, rounds: 3, machines: MACHINES }],
  ['restart', { run: benchRestart, rounds: 3, machines: 10_000 }],
  ['webhook', { run: benchWebhook, rounds: 7, machines: MACHINES }],
  ['recycle', { run: benchRecycle, rounds: 3, machines: MACHINES }],
  ['agent', { run: benchAgent, rounds: 3, machines: 50 }],
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

/** Undefined for what is not understood. */
function readArguments(): Asked | undefined {
  try {
    const options = { rounds: { type: 'string' }, machines: { type: 'string' } } as const
    const { values, positionals } = parseArgs({ options, allowPositionals: true })
    const [name = ''] = positionals
    const benchmark = benchmarks.get(name)
    const rounds = Number(values.rounds ?? benchmark?.rounds)
    const machines = Number(values.machines ?? benchmark?.machines)
    const isUnderstood = [rounds, machines].every((count) => Number.isInteger(count) && count > 0)
    return benchmark && isUnderstood ? { name, benchmark, rounds, machines } : undefined
  } catch {
    return undefined // An option that there is not.
  }
}

async function main(): Promise<void> {
  const asked = readArguments()
  if (!asked) {
    process.stderr.write(`${USAGE}\n`)
    process.exitCode = 2
    return
  }
  const { name, benchmark, rounds, machines } = asked
  const say = (line: string) => void process.stdout.write(`${line}\n`)
  const figures = await benchmark.run({ rounds, machines, env: process.env, say })
  say(JSON.stringify({ bench: name, ...figures }))
}

await main()
