import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'

const NS_PER_SECOND = 1e9
const BYTES_PER_KIB = 1024
const BYTES_PER_MB = 1e6

const programs = z.object({
  supervisor: z.object({ pid: z.int() }),
  programs: z.record(z.string(), z.object({ pid: z.int() }).nullable()),
})

/** What a process has used so far, threads that have ended left out. */
export interface Usage {
  readonly cpuSeconds: number
  /** The most memory that it ever had, in units of a million bytes. */
  readonly peakRssMb: number
  readonly rssMb: number
}

/** Of the process that a program has. */
export interface ProgramUsage extends Usage {
  readonly pid: number
}

/** The process of each program of a platform, and of its supervisor. */
export async function pidsOf(home: string): Promise<Map<string, number>> {
  const state = programs.parse(JSON.parse(await readFile(join(home, 'platform.json'), 'utf8')))
  const { supervisor, programs: running } = state
  const all = [['supervisor', supervisor] as const, ...Object.entries(running)]
  return new Map(all.flatMap(([name, found]) => (found ? [[name, found.pid] as const] : [])))
}

/** Of one program. Throws while it has none. */
export async function pidOf(home: string, program: string): Promise<number> {
  const pid = (await pidsOf(home)).get(program)
  if (pid === undefined) throw new Error(`the platform has no process of ${program}`)
  return pid
}

export async function usageOf(pid: number): Promise<Usage> {
  const folder = join('/proc', String(pid))
  const [status, threads] = await Promise.all([readFile(join(folder, 'status'), 'utf8'), readdir(join(folder, 'task'))])
  // To the nanosecond. What `stat` says is counted in ticks, of which an idle process gets too many.
  const times = await Promise.all(threads.map((thread) => readFile(join(folder, 'task', thread, 'schedstat'), 'utf8')))
  const nanoseconds = times.reduce((sum, time) => sum + Number(time.split(' ')[0]), 0)
  const mb = (name: string) =>
    (Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * BYTES_PER_KIB) / BYTES_PER_MB
  return {
    cpuSeconds: nanoseconds / NS_PER_SECOND,
    peakRssMb: mb('VmHWM'),
    rssMb: mb('VmRSS'),
  }
}

/** What each program of a platform has used so far, by name. */
export async function usagesOf(home: string): Promise<Map<string, ProgramUsage>> {
  const used = [...(await pidsOf(home))].map(async ([name, pid]) => [name, { pid, ...(await usageOf(pid)) }] as const)
  return new Map(await Promise.all(used))
}

/** CPU seconds by program between two looks. Of one that was started again meanwhile, those since then. */
export function cpuSecondsSince(
  before: ReadonlyMap<string, ProgramUsage>,
  after: ReadonlyMap<string, ProgramUsage>,
): Map<string, number> {
  return new Map(
    [...after].map(([name, { pid, cpuSeconds }]) => {
      const known = before.get(name)
      return [name, known?.pid === pid ? cpuSeconds - known.cpuSeconds : cpuSeconds]
    }),
  )
}
