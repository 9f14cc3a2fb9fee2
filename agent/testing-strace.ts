import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { isMissing } from './durable-file.ts'
import { eventually } from './testing.ts'

const QUIET_MS = 100

/** With one thread for all file system calls they come one after the other, and their number says which one it is. */
export const ONE_THREAD = { UV_THREADPOOL_SIZE: '1' }

/** What an agent does to the files of its host, or what it says to QEMU and to its clients. */
export type Calls = 'files' | 'messages'

const traced: Readonly<Record<Calls, string>> = {
  files: 'openat,write,pwrite64,writev,ftruncate,fsync,fdatasync,rename,link,unlink,mkdir,rmdir,fchown,chown',
  messages: 'write,writev,sendmsg',
}

/** Watches the thread that makes such calls, and kills the agent when it is about to make that one. */
export async function traceCalls(of: Calls, pid: number, call?: number): Promise<{ stop(): Promise<string[]> }> {
  const inject = call === undefined ? [] : ['-e', `inject=${traced[of]}:signal=SIGKILL:when=${call}`]
  const thread = of === 'files' ? await fileThreadOf(pid) : String(pid)
  const args = ['-qq', '-y', '-s', '4096', '-p', thread, '-e', `trace=${traced[of]}`, ...inject]
  const child = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const exited = once(child, 'exit')
  const calls: string[] = []
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (/^\w+\(/.test(line)) calls.push(line)
  })
  await eventually('strace is attached', () => isTraced(`/proc/${pid}/task/${thread}`, child.pid ?? 0))
  return {
    stop: async () => {
      await isQuiet(calls)
      child.kill('SIGINT')
      await exited
      return calls
    },
  }
}

/** What was begun goes on after its answer. */
async function isQuiet(calls: readonly string[]): Promise<void> {
  let seenCalls: number
  do {
    seenCalls = calls.length
    await sleep(QUIET_MS)
  } while (calls.length > seenCalls)
}

async function fileThreadOf(pid: number): Promise<string> {
  for (const id of await readdir(`/proc/${pid}/task`)) {
    if ((await readFile(`/proc/${pid}/task/${id}/comm`, 'utf8')).startsWith('libuv-worker')) return id
  }
  throw new Error('the agent has no thread for file system calls')
}

/** Also when it is gone: it may be killed at once, for an agent looks at its state from time to time. */
async function isTraced(thread: string, tracer: number): Promise<boolean> {
  try {
    const status = await readFile(join(thread, 'status'), 'utf8')
    return new RegExp(`^TracerPid:\\s+${tracer}$`, 'm').test(status)
  } catch (error) {
    if (isMissing(error) || (error instanceof Error && 'code' in error && error.code === 'ESRCH')) return true
    throw error
  }
}
