import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { identify, isAlive } from '../../lib/process-identity.ts'
import { supervise, withLifeline, type ProgramSpec, type Supervised } from './supervise.ts'

let folder: string
let logPath: string
const started: Supervised[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'supervise-'))
  logPath = join(folder, 'program.log')
})
afterEach(async () => {
  for (const run of started.splice(0)) await run.stop(0)
  await rm(folder, { recursive: true })
})

/** A shell script that is supervised, with all that its observer heard. */
async function start(script: string, rest: Partial<ProgramSpec> = {}) {
  const said: string[] = []
  const pids: (number | undefined)[] = []
  const run = await supervise(
    {
      name: 'program',
      command: '/bin/sh',
      args: ['-c', script],
      cwd: folder,
      env: {},
      logPath,
      graceMs: 5_000,
      ...rest,
    },
    { say: (line) => said.push(line), changed: (_, process) => pids.push(process?.pid) },
  )
  started.push(run)
  return { run, said, pids, log: () => readFile(logPath, 'utf8') }
}

test('a program that ends by itself is started again, ever later', async () => {
  const { run, said, pids, log } = await start('echo "run in $PWD"; exit 1')
  await run.assertNeverEnded().catch(() => undefined)
  await expect.poll(() => said.length, { timeout: 5_000, interval: 10 }).toBe(2)
  expect(said).toEqual([
    `program ended by itself and is started again in 0.5 s; see ${logPath}`,
    `program ended by itself and is started again in 1 s; see ${logPath}`,
  ])
  expect(await log()).toBe(`run in ${folder}\n`.repeat(2))
  expect(pids.filter((pid) => pid !== undefined && pid > 1)).toHaveLength(new Set(pids).size - 1)
  expect(run.process()).toBeUndefined()
  await expect(run.assertNeverEnded()).rejects.toMatchObject({
    code: 'PROGRAM_ENDED',
    message: expect.stringContaining(`the end of its log ${logPath}:\nrun in ${folder}\n`),
  })
  await run.stop() // It waits: nothing has to end.
  expect(said).toHaveLength(2)
})

test('a program that is stopped may end in its own way, and stays ended', async () => {
  const { run, said, pids, log } = await start("trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.01; done")
  await expect.poll(log, { interval: 2, timeout: 4_000 }).toBe('hello\n')
  const process = run.process()
  expect(process).toEqual(await identify(process?.pid ?? 0))
  await run.assertNeverEnded()
  await Promise.all([run.stop(), run.stop()])
  expect(await log()).toBe('hello\nbye\n')
  expect([said, pids]).toEqual([[], [process?.pid, undefined]])
})

test('a program that does not end is killed, and the second call may be less patient', async () => {
  const { run, log } = await start("trap '' TERM; echo hello; while :; do sleep 0.01; done")
  await expect.poll(log, { interval: 2, timeout: 4_000 }).toBe('hello\n')
  const process = run.process()
  const patient = run.stop()
  await run.stop(10)
  await patient
  expect(process && (await isAlive(process))).toBe(false)
})

test('a program that cannot be started is an error at once', async () => {
  await expect(start('', { command: '/no/such/program' })).rejects.toMatchObject({ code: 'ENOENT' })
})

test('a program with a lifeline ends when its supervisor is killed', async () => {
  const module = new URL('supervise.ts', import.meta.url)
  const script = `
    const { supervise, withLifeline } = await import(${JSON.stringify(module.href)})
    const spec = { name: 'x', ...withLifeline('/bin/sleep', ['60']), cwd: '/', env: {}, logPath: process.argv[1], graceMs: 0 }
    const run = await supervise(spec, { say() {}, changed() {} })
    console.log(run.process().pid)
    setInterval(() => {}, 1000)`
  expect(withLifeline('/bin/sleep', ['60']).args.slice(-2)).toEqual(['/bin/sleep', '60'])
  const supervisor = spawn(process.execPath, ['--input-type=module', '-e', script, logPath], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [pid] = (await once(supervisor.stdout, 'data')) as [Buffer]
  expect(await identify(Number(pid))).toBeDefined()
  supervisor.kill('SIGKILL')
  await expect.poll(() => identify(Number(pid)), { interval: 5, timeout: 4_000 }).toBeUndefined()
})
