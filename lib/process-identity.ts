import { readFile } from 'node:fs/promises'
import * as z from 'zod'
import { readTextFile } from './tls/private-file.ts'

/** One process for ever: a pid alone is used again, and means nothing after a reboot. */
export const processIdentity = z.object({ pid: z.int().min(1), startTime: z.string(), bootId: z.string() })
export type ProcessIdentity = z.infer<typeof processIdentity>

/** The process that has this pid now, dead ones that nobody waited for left out. */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  const stat = await readProcFile(`/proc/${pid}/stat`)
  if (stat === undefined) return undefined
  // The name, in parentheses, may itself contain spaces and parentheses. See proc(5).
  const [state = '', ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (state === 'Z' || state === 'X') return undefined
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
  return { pid, startTime: fields[18] ?? '', bootId }
}

/** Whether that very process still runs. */
export async function isAlive({ pid, startTime, bootId }: ProcessIdentity): Promise<boolean> {
  const found = await identify(pid)
  return found?.startTime === startTime && found.bootId === bootId
}

// A process that ends between open and read answers ESRCH.
async function readProcFile(path: string): Promise<string | undefined> {
  try {
    return await readTextFile(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return undefined
    throw error
  }
}
