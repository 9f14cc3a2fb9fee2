import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { toMemoryBytes } from '../hypervisor.ts'

/** What a host has, and what of it is used. The latter is absent for one that is simulated. */
export interface HostUsage {
  readonly cpus: number
  readonly memoryBytes: number
  readonly memoryAvailableBytes?: number
  /** Of all CPUs since the host's boot, by what they did. */
  readonly cpuSeconds?: Readonly<Record<string, number>>
}

// USER_HZ is 100 on every architecture that QEMU runs on (time(7)).
const TICKS_PER_SECOND = 100
/** The first columns of /proc/stat. What guests of KVM used is in `user` and `nice` once more, and left out here. */
const MODES = ['user', 'nice', 'system', 'idle', 'iowait', 'irq', 'softirq', 'steal']

/** Looks at /proc, which never waits for a disk. */
export function readHostUsage(): HostUsage {
  const meminfo = readFileSync('/proc/meminfo', 'utf8')
  return {
    cpus: availableParallelism(),
    memoryBytes: toMemoryBytes(meminfo),
    memoryAvailableBytes: toAvailableBytes(meminfo),
    cpuSeconds: toCpuSeconds(readFileSync('/proc/stat', 'utf8')),
  }
}

/** Reads /proc/meminfo (proc(5)): what can be had without swapping. */
export function toAvailableBytes(meminfo: string): number {
  return Number(/^MemAvailable:\s+(\d+) kB$/m.exec(meminfo)?.[1] ?? 0) * 1024
}

/** Reads the sum of all CPUs out of /proc/stat (proc(5)). */
export function toCpuSeconds(stat: string): Record<string, number> {
  const [, ...columns] = /^cpu\s.*$/m.exec(stat)?.[0].split(/\s+/) ?? []
  return Object.fromEntries(MODES.map((mode, index) => [mode, Number(columns[index] ?? 0) / TICKS_PER_SECOND]))
}
