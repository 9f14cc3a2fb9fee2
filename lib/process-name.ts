import { createHash } from 'node:crypto'
import { readFile, readlink } from 'node:fs/promises'
import { hostname } from 'node:os'
import { identify } from './process-identity.ts'

/** HOST-PID, the kernel and the namespace that the pid is of, and when the process started. */
const pattern = /-(?<pid>[1-9]\d*)_(?<space>[0-9a-f]{12})_(?<startTime>\d+)$/

/** A name of this process that no other one ever has, on whatever host: `HOST-PID_SPACE_START`. */
export async function processName(): Promise<string> {
  const own = await identify(process.pid)
  if (!own) throw new Error('this process does not see itself in /proc')
  return `${hostname()}-${own.pid}_${await pidSpace()}_${own.startTime}`
}

/** Whether `name` is of the process that has this pid here. */
export function isNameOf(name: string, pid: number): boolean {
  return name.startsWith(`${hostname()}-${pid}_`)
}

/** Whether the process of this name surely has ended. False for one that cannot be seen from here. */
export async function hasEnded(name: string): Promise<boolean> {
  const { pid, space, startTime } = pattern.exec(name)?.groups ?? {}
  if (pid === undefined || space !== (await pidSpace())) return false
  const reach = probe(Number(pid))
  const found = await identify(Number(pid))
  // One that may be signalled and is not shown is dead. Others are hidden where /proc hides them.
  return found ? found.startTime !== startTime : reach !== 'Foreign'
}

/** A pid means something within one boot of one kernel, and there in one namespace. */
async function pidSpace(): Promise<string> {
  const [bootId, namespace] = await Promise.all([
    readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
    readlink('/proc/self/ns/pid'),
  ])
  return createHash('sha256').update(`${bootId.trim()} ${namespace}`).digest('hex').slice(0, 12)
}

function probe(pid: number): 'Own' | 'Foreign' | 'None' {
  try {
    process.kill(pid, 0)
    return 'Own'
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ESRCH' ? 'None' : 'Foreign'
  }
}
