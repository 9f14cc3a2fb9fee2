import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { LocalError } from '../errors.ts'
import { prepareHome, type Home } from '../home.ts'
import { followLog, show } from '../platform/follow-log.ts'
import { findRunning, readState } from '../platform/state.ts'
import type { Terminal } from '../terminal.ts'

export interface DetachOptions {
  readonly home: Home
  readonly env: NodeJS.ProcessEnv
  /** Of the command line, without --detach. */
  readonly args: readonly string[]
}

const MAIN = join(import.meta.dirname, '..', 'main.ts')
const POLL_MS = 100

/** Starts the platform in a process that outlives this one, and returns when all is ready. */
export async function detach({ home, env, args }: DetachOptions, terminal: Terminal): Promise<number> {
  await prepareHome(home)
  const running = await findRunning(home)
  if (running) {
    const { pid } = running.supervisor
    throw new LocalError('ALREADY_RUNS', `Holdfast already runs in ${home.root} (process ${pid}): npm stop ends it`)
  }
  // Never emptied: two that start at once know nothing of each other yet.
  await using log = await open(home.log, 'a', 0o600)
  const { size } = await log.stat()
  const child = spawn(process.execPath, [MAIN, ...args], {
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
    env: { ...env, HOLDFAST_DETACHED: '1' },
  })
  const exit = once(child, 'exit')
  let code: number | undefined
  void exit.then(() => (code = child.exitCode ?? 1))
  const progress = followLog(home.log, size)
  for (;;) {
    const state = await readState(home.state)
    await show(progress, terminal)
    if (code !== undefined) return code === 0 ? 1 : code
    if (state?.phase === 'Ready' && state.supervisor.pid === child.pid) break
    await sleep(POLL_MS)
  }
  await show(progress, terminal)
  child.unref()
  return 0
}
