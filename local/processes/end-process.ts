import { setTimeout as sleep } from 'node:timers/promises'
import { isAlive, type ProcessIdentity } from '../../lib/process-identity.ts'

/** Has a supervisor end, and its guests run on. */
export const STOP_KEEPING_GUESTS = 'SIGUSR2'

const POLL_MS = 50

/** Asks a process to end, and kills it when it has not within `graceMs`. Answers when it is gone. */
export async function endProcess(target: ProcessIdentity, graceMs: number): Promise<void> {
  if (await signalled(target, 'SIGTERM', graceMs)) return
  if (await signalled(target, 'SIGKILL', 10_000)) return
  throw new Error(`process ${target.pid} does not end`)
}

async function signalled(target: ProcessIdentity, signal: NodeJS.Signals, waitMs: number): Promise<boolean> {
  const deadline = performance.now() + waitMs
  if (!(await isAlive(target))) return true
  sendSignal(target.pid, signal)
  while (performance.now() < deadline) {
    if (!(await isAlive(target))) return true
    await sleep(POLL_MS)
  }
  return false
}

/** Sends a signal; a process that has just ended is not an error. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return
    throw error
  }
}
