import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as z from 'zod'
import { findPrograms } from '../local/control-plane/programs.ts'
import { LocalError } from '../local/errors.ts'
import { ensureQemu } from '../local/platform/qemu.ts'
import { ensurePromtool } from './promtool.ts'
import { ensureTestTools } from './test-tools.ts'

const root = join(import.meta.dirname, '..')
/** Run one after the other, the projects of one beside each other: where one waits, another has work. */
const runs = [['unit'], ['envtest', 'e2e']]

const report = z.object({
  success: z.boolean(),
  numPassedTests: z.int(),
  numFailedTests: z.int(),
  testResults: z.array(
    z.object({
      status: z.string(),
      assertionResults: z.array(z.object({ status: z.string(), fullName: z.string() })),
    }),
  ),
})

interface Count {
  readonly passed: number
  readonly failed: number
  /** Names of those that need what this computer has not. */
  readonly skipped: readonly string[]
}

/** Does all set-up, then runs everything that can fail: the checks, and each kind of test. */
async function main(): Promise<number> {
  const { env } = process
  const say = (line: string) => console.log(`set-up: ${line}`)
  await ensureQemu({ env, say })
  await findPrograms({ env, say })
  ensureTestTools(say)
  await ensurePromtool(env, say)
  if ((await run(join('hack', 'guest-image.ts'))) !== 0)
    throw new LocalError('COMMAND_FAILED', 'there is no guest to boot')

  const checked = runCheck()
  const counts: Count[] = []
  for (const projects of runs) counts.push(await runProjects(projects))
  counts.push({ passed: 0, failed: await checked, skipped: [] })
  const passed = counts.reduce((sum, count) => sum + count.passed, 0)
  const failed = counts.reduce((sum, count) => sum + count.failed, 0)
  for (const name of counts.flatMap(({ skipped }) => skipped))
    console.log(`skipped, for it cannot be shown here: ${name}`)
  console.log(`${passed} passed, ${failed} failed`)
  return failed === 0 && passed > 0 ? 0 : 1
}

/** Beside the first tests: each of its programs keeps one processor busy. Says what it found when it is done. */
async function runCheck(): Promise<number> {
  const check = spawn('npm', ['run', '--silent', 'check'], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  const output: Buffer[] = []
  for (const stream of [check.stdout, check.stderr]) stream.on('data', (chunk: Buffer) => output.push(chunk))
  await once(check, 'close')
  console.log('\ncheck: format, lint, layers, types, unused code, generated files, lock file')
  process.stdout.write(Buffer.concat(output))
  return check.exitCode === 0 ? 0 : 1
}

async function runProjects(projects: readonly string[]): Promise<Count> {
  console.log(`\n${projects.join(' and ')} tests`)
  const folder = await mkdtemp(join(tmpdir(), 'hf-report-'))
  const file = join(folder, 'report.json')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
  const chosen = projects.flatMap((project) => ['--project', project])
  const code = await run(join('node_modules', 'vitest', 'vitest.mjs'), 'run', ...chosen, ...reporters)
  const found = report.safeParse(await readJson(file))
  await rm(folder, { recursive: true })
  if (!found.success) return { passed: 0, failed: 1, skipped: [] }
  const { numPassedTests: passed, numFailedTests, testResults } = found.data
  // A file that cannot be loaded has no tests that could fail.
  const files = testResults.filter(({ status }) => status !== 'passed').length
  const failed = Math.max(numFailedTests, files, code === 0 ? 0 : 1)
  const skipped = testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ status }) => status !== 'passed' && status !== 'failed')
    .map(({ fullName }) => fullName)
  return { passed, failed: passed === 0 ? Math.max(failed, 1) : failed, skipped }
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch {
    return undefined // The run ended before it could say anything.
  }
}

/** Resolves with the exit code; null when a signal ended it. */
async function run(program: string, ...args: string[]): Promise<number | null> {
  const child = spawn(process.execPath, [join(root, program), ...args], { cwd: root, stdio: 'inherit' })
  await once(child, 'close')
  return child.exitCode
}

try {
  process.exitCode = await main()
} catch (error) {
  if (!(error instanceof LocalError)) throw error
  console.error(error.message)
  console.log('0 passed, 1 failed')
  process.exitCode = 1
}
