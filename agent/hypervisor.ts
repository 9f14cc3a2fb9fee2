import { readFile, stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import type { ObservedHost } from './contract.ts'
import { isMissing } from './durable-file.ts'
import { AgentError } from './errors.ts'
import { RunError } from './run.ts'

/** The QEMU of this host, once there is one that can be used. */
export interface Qemu {
  /** As in `7.2.22`. */
  readonly version: string
  /** What `q35` stands for, such as `pc-q35-7.2`. */
  readonly q35: string
  readonly machineTypes: readonly string[]
  /** Whether it has the device by which a guest's kernel tells of its panic. */
  readonly hasPvpanic: boolean
}

/** What the host offers its guests. Measured once, apart from QEMU: it may be installed later. */
export interface Hypervisor {
  readonly bootId: string
  readonly accelerator: Accelerator
  /** Looks again until it finds one. Throws `QEMU_UNAVAILABLE`, with `details` as in the host's `problem`. */
  qemu(): Promise<Qemu>
  observe(): Promise<Pick<ObservedHost, ObservedKeys>>
}
type ObservedKeys = 'bootId' | 'cpus' | 'memoryBytes' | 'accelerator' | 'acceleratorReason' | 'qemuVersion' | 'problem'

export interface Accelerator {
  readonly name: 'KVM' | 'TCG'
  readonly reason: string
  /** Group that a guest's user must have to open /dev/kvm, where not everybody may. */
  readonly gid?: number
}

const OLDEST = [7, 2] as const

/** Runs QEMU with these arguments and returns what it prints; throws with `code` ENOENT when there is no such program. */
export type AskQemu = (args: readonly string[]) => Promise<string>

export async function lookAtHost(askQemu: AskQemu): Promise<Hypervisor> {
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
  const memoryBytes = toMemoryBytes(await readFile('/proc/meminfo', 'utf8'))
  const accelerator = chooseAccelerator(await readFile('/proc/cpuinfo', 'utf8'), await lookAtKvm())
  let found: Promise<Qemu> | undefined

  const qemu = async (): Promise<Qemu> => {
    found ??= probeQemu(askQemu)
    try {
      return await found
    } catch (error) {
      found = undefined
      throw error
    }
  }

  return {
    bootId,
    accelerator,
    qemu,
    observe: async () => ({
      bootId,
      cpus: availableParallelism(),
      memoryBytes,
      accelerator: accelerator.name,
      acceleratorReason: accelerator.reason,
      ...(await describeQemu(qemu)),
    }),
  }
}

async function describeQemu(qemu: () => Promise<Qemu>): Promise<Pick<ObservedHost, 'qemuVersion' | 'problem'>> {
  try {
    return { qemuVersion: (await qemu()).version }
  } catch (error) {
    if (!(error instanceof QemuProblem)) throw error
    return { problem: { code: error.problem, message: error.message } }
  }
}

/** Why there is no QEMU to use. */
export class QemuProblem extends AgentError {
  readonly problem: 'QemuMissing' | 'QemuTooOld'

  constructor(problem: 'QemuMissing' | 'QemuTooOld', message: string, options?: ErrorOptions) {
    super('QEMU_UNAVAILABLE', message, { ...options, details: { code: problem } })
    this.problem = problem
  }
}

async function probeQemu(askQemu: AskQemu): Promise<Qemu> {
  try {
    const questions = [['--version'], ['-machine', 'help'], ['-device', 'help']]
    const [version = '', machines = '', devices] = await Promise.all(questions.map(askQemu))
    return parseQemu(version, machines, devices)
  } catch (error) {
    if (error instanceof RunError && error.code !== 'ENOENT') {
      throw new AgentError('QEMU_UNAVAILABLE', `QEMU does not answer on this host: ${error.message}`, { cause: error })
    }
    if (!isMissing(error)) throw error
    const what = 'QEMU is not installed on this host; install it, on Debian and Ubuntu with'
    const command = 'apt-get install qemu-system-x86 qemu-utils'
    throw new QemuProblem('QemuMissing', `${what}: ${command}`, { cause: error })
  }
}

/** Reads what `--version`, `-machine help` and `-device help` print. Throws `QemuProblem` for a QEMU that is too old. */
export function parseQemu(versionText: string, machinesText: string, devicesText = ''): Qemu {
  const [, version = '', major, minor] = /version ((\d+)\.(\d+)[.\d]*)/.exec(versionText) ?? []
  if (version === '') throw new AgentError('INTERNAL', `QEMU prints a version that cannot be read: ${versionText}`)
  if (Number(major) < OLDEST[0] || (Number(major) === OLDEST[0] && Number(minor) < OLDEST[1])) {
    const needed = OLDEST.join('.')
    throw new QemuProblem('QemuTooOld', `this host has QEMU ${version}; Holdfast needs ${needed} or newer`)
  }
  const q35 = /^q35\s.*\(alias of (\S+)\)/m.exec(machinesText)?.[1]
  if (q35 === undefined) throw new AgentError('INTERNAL', `QEMU ${version} does not say what q35 stands for`)
  const machineTypes = [...machinesText.matchAll(/^(pc-q35-\S+)/gm)].flatMap(([, type]) => type ?? [])
  return { version, q35, machineTypes, hasPvpanic: /^name "pvpanic"/m.test(devicesText) }
}

/** Reads /proc/meminfo (proc(5)). */
export function toMemoryBytes(meminfo: string): number {
  return Number(/^MemTotal:\s+(\d+) kB$/m.exec(meminfo)?.[1] ?? 0) * 1024
}

interface Device {
  readonly mode: number
  readonly gid: number
}

/**
 * KVM only where it will work: the device may exist on a host whose processor, or hypervisor, does not offer
 * virtualisation, and guests then hang in their first instruction.
 */
export function chooseAccelerator(cpuinfo: string, kvm: Device | undefined): Accelerator {
  const [, flags = ''] = /^flags\s*:(.*)$/m.exec(cpuinfo) ?? []
  const extension = /\b(vmx|svm)\b/.exec(flags)?.[1]
  if (extension === undefined) {
    return { name: 'TCG', reason: 'the processor offers neither vmx nor svm to this host, so guests are emulated' }
  }
  if (!kvm) return { name: 'TCG', reason: 'there is no /dev/kvm, so guests are emulated; load the kvm module' }
  const access = accessTo(kvm)
  if (!access)
    return { name: 'TCG', reason: 'guests may not open /dev/kvm, so they are emulated; its group must be ours' }
  return { name: 'KVM', reason: `the processor offers ${extension} and /dev/kvm can be used`, ...access }
}

/** Undefined: none. With a group: only for its members. */
function accessTo({ mode, gid }: Device): { readonly gid?: number } | undefined {
  if ((mode & 0o006) === 0o006) return {}
  const isOurs = process.getuid?.() === 0 || process.getgroups?.().includes(gid) === true
  return (mode & 0o060) === 0o060 && gid !== 0 && isOurs ? { gid } : undefined
}

async function lookAtKvm(): Promise<Device | undefined> {
  try {
    return await stat('/dev/kvm')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}
