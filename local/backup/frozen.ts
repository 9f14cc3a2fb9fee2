import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:fs'
import { copyFile, mkdir, readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { isAlive, type ProcessIdentity } from '../../lib/process-identity.ts'
import { LocalError } from '../errors.ts'
import { sendSignal } from '../processes/end-process.ts'

const STILL_MS = 10_000
const POLL_MS = 5

/**
 * Does something while a process stands still, as one does that is stopped in a debugger. What it wrote until then is
 * what a kill -9 would leave at that moment, which etcd starts from. It goes on afterwards, whatever happens here.
 */
export async function whileFrozen<T>(target: ProcessIdentity, work: () => Promise<T>): Promise<T> {
  if (!(await isAlive(target))) throw gone()
  const goOn = () => sendSignal(target.pid, 'SIGCONT')
  const leave = (signal: NodeJS.Signals) => {
    goOn()
    process.kill(process.pid, signal)
  }
  for (const signal of SIGNALS) process.once(signal, leave)
  process.once('exit', goOn)
  const guard = await newGuard(target.pid)
  try {
    sendSignal(target.pid, 'SIGSTOP')
    await untilStill(target)
    const result = await work()
    if (!(await isAlive(target))) throw gone()
    return result
  } finally {
    goOn()
    guard.stdin.end()
    process.off('exit', goOn)
    for (const signal of SIGNALS) process.off(signal, leave)
  }
}

/** A process that sees our end of its pipe close, even when we are killed, and then has the other one go on. */
async function newGuard(pid: number): Promise<ChildProcessByStdio<Writable, null, null>> {
  const program = `process.stdin.resume().on('end', () => { try { process.kill(${pid}, 'SIGCONT') } catch {} })`
  const guard = spawn(process.execPath, ['--eval', program], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  await once(guard, 'spawn')
  guard.stdin.on('error', () => undefined) // Somebody may have killed it.
  guard.unref()
  return guard
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

function gone(): LocalError {
  return new LocalError('NOT_READY', 'etcd was just started again, so its files could not be copied: try again')
}

/** A thread that is in the middle of a write stops after it. */
async function untilStill(target: ProcessIdentity): Promise<void> {
  const deadline = performance.now() + STILL_MS
  while (!(await isStill(target.pid))) {
    if (performance.now() > deadline) throw new LocalError('NOT_READY', 'etcd waits for its disk: try again later')
    await sleep(POLL_MS)
  }
}

async function isStill(pid: number): Promise<boolean> {
  const threads = await readdir(`/proc/${pid}/task`)
  const states = await Promise.all(threads.map((id) => stateOf(`/proc/${pid}/task/${id}/stat`)))
  return states.every((state) => state === 'T')
}

async function stateOf(file: string): Promise<string | undefined> {
  const stat = await readFile(file, 'utf8')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[0]
}

/** Copies files into another folder, by reference where the file system can. */
export async function copyFiles(from: string, to: string, files: readonly string[]): Promise<void> {
  for (const file of files) {
    await mkdir(join(to, dirname(file)), { recursive: true, mode: 0o700 })
    await copyFile(join(from, file), join(to, file), constants.COPYFILE_FICLONE)
  }
}
