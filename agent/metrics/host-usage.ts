import { existsSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { toMemoryBytes } from '../hypervisor.ts'

/** What a host has, and what of it is used. The latter is absent for one that is simulated. */
export interface HostUsage {
  readonly cpus: number
  readonly memoryBytes: number
  readonly memoryAvailableBytes?: number
  /** Of all CPUs since the host's boot, by what they did. */
  readonly cpuSeconds?: Readonly<Record<string, number>>
  readonly network?: readonly InterfaceTraffic[]
}

/** Bytes that have passed an interface of the host since it came up. */
export interface InterfaceTraffic {
  readonly name: string
  readonly receivedBytes: number
  readonly transmittedBytes: number
}

// USER_HZ is 100 on every architecture that QEMU runs on (time(7)).
const TICKS_PER_SECOND = 100
/** The first columns of /proc/stat. What guests of KVM used is in `user` and `nice` once more, and left out here. */
const MODES = ['user', 'nice', 'system', 'idle', 'iowait', 'irq', 'softirq', 'steal']
/** Which column bytes that were sent are in /proc/net/dev, counted from the second on. */
const TRANSMITTED = 7
/** Leads nowhere, or to a guest or a container: they come and go, and what passes them passes the host's own too. */
const NOT_OF_HOST = /^(lo|ifb\d+|dummy\d+|(veth|tap|tun|vnet|macvtap|cali|cni|docker|br-|virbr|flannel).*)$/

/** Looks at /proc and /sys, which never wait for a disk. */
export function readHostUsage(): HostUsage {
  const meminfo = readFileSync('/proc/meminfo', 'utf8')
  return {
    cpus: availableParallelism(),
    memoryBytes: toMemoryBytes(meminfo),
    memoryAvailableBytes: toAvailableBytes(meminfo),
    cpuSeconds: toCpuSeconds(readFileSync('/proc/stat', 'utf8')),
    network: toTraffic(readFileSync('/proc/net/dev', 'utf8'), (name) => existsSync(`/sys/class/net/${name}/device`)),
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

/**
 * Reads /proc/net/dev (proc(5)): of the interfaces that have hardware, without bonds, bridges and VLANs above them, which
 * count the same bytes once more. Where none has, as in a container, of all that do not belong to a guest.
 */
export function toTraffic(dev: string, hasHardware: (name: string) => boolean): InterfaceTraffic[] {
  const all = dev.split('\n').flatMap((line) => toInterface(line) ?? [])
  const hardware = all.filter(({ name }) => hasHardware(name))
  return hardware.length > 0 ? hardware : all
}

// No space follows the colon where the kernel is old and the figure is long.
const INTERFACE = /^\s*([^\s:|]+):\s*(\d+)((?:\s+\d+){8,})\s*$/

function toInterface(line: string): InterfaceTraffic | undefined {
  const [, name = '', received, rest = ''] = INTERFACE.exec(line) ?? []
  if (received === undefined || NOT_OF_HOST.test(name)) return undefined
  const transmitted = rest.trim().split(/\s+/)[TRANSMITTED]
  return { name, receivedBytes: Number(received), transmittedBytes: Number(transmitted) }
}
