import { parseArgs } from 'node:util'
import { benchVm } from './vm/vm.ts'

const benchmarks = { vm: benchVm }
const USAGE = `usage: npm run bench -- NAME [--rounds N]
  vm   from apply to a running guest, next to the same calls made by hand; API writes a machine`

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options: { rounds: { type: 'string' } }, allowPositionals: true })
  const rounds = Number(values.rounds ?? 15)
  const [name = ''] = positionals
  if (name !== 'vm' || !Number.isInteger(rounds) || rounds < 1) {
    process.stderr.write(`${USAGE}\n`)
    process.exitCode = 2
    return
  }
  const say = (line: string) => void process.stdout.write(`${line}\n`)
  const figures = await benchmarks[name]({ rounds, env: process.env, say })
  say(JSON.stringify({ bench: name, ...figures }))
}

await main()
