import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'

const TICKS_PER_SECOND = 100
const KIB_PER_MIB = 1024

const programs = z.object({ programs: z.record(z.string(), z.object({ pid: z.int() }).nullable()) })

/** What a process has used so far. */
export interface Usage {
  readonly cpuSeconds: number
  /** The most memory that it ever had. */
  readonly peakRssMb: number
  readonly rssMb: number
}

/** The process of each program of a platform. */
export async function pidsOf(home: string): Promise<Map<string, number>> {
  const state = programs.parse(JSON.parse(await readFile(join(home, 'platform.json'), 'utf8')))
  return new Map(Object.entries(state.programs).flatMap(([name, found]) => (found ? [[name, found.pid] as const] : [])))
}

export async function usageOf(pid: number): Promise<Usage> {
  const [stat, status] = await Promise.all(
    ['stat', 'status'].map((name) => readFile(join('/proc', String(pid), name), 'utf8')),
  )
  // Fields 14 and 15, counted from behind the name, which may hold anything.
  const fields = (stat ?? '').slice((stat ?? '').lastIndexOf(')') + 2).split(' ')
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status ?? '')?.[1])
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
    peakRssMb: kib('VmHWM') / KIB_PER_MIB,
    rssMb: kib('VmRSS') / KIB_PER_MIB,
  }
}
