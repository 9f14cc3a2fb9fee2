import { isDeepStrictEqual } from 'node:util'
import { AgentError } from '../errors.ts'
import type { Hypervisor } from '../hypervisor.ts'
import { toHardware } from './hardware.ts'
import { isSame, type HostProcess } from './processes.ts'
import { assignSlots } from './slots.ts'
import { isDue, withCarriedOut, type MachineRecord } from './record.ts'

/** What of the host goes into the plan of a launch. */
export interface LaunchFacts {
  readonly bootId: string
  /** What `q35` stands for now. */
  readonly q35: string
}

/** Undefined while there is no QEMU: an order is taken all the same. */
export async function findLaunchFacts(host: Pick<Hypervisor, 'qemu' | 'bootId'>): Promise<LaunchFacts | undefined> {
  try {
    return { bootId: host.bootId, q35: (await host.qemu()).q35 }
  } catch (error) {
    if (error instanceof AgentError) return undefined
    throw error
  }
}

/**
 * Notes with an order what it leads to, so that storing it once is enough: the disks that are about to be claimed,
 * of which none must be forgotten when the agent dies in between, and with `facts` the launch.
 */
export function withOrder(record: MachineRecord, facts: LaunchFacts | undefined): MachineRecord {
  const { power, disks } = record.desired
  if (power !== 'Running') return record
  const missing = disks.filter(({ id }) => !record.claims.some((claim) => claim.id === id))
  const claimed = missing.length === 0 ? record : { ...record, claims: [...record.claims, ...missing] }
  const startsNow = record.ended === undefined && record.retryAt === undefined
  return startsNow && facts ? withLaunch(claimed, facts) : claimed
}

/** Notes the launch that is about to happen; the very same record when that is noted already. */
export function withLaunch(record: MachineRecord, { bootId, q35 }: LaunchFacts): MachineRecord {
  const { retryAt, launch } = record
  const machineType = record.machineType ?? q35
  const hardware = toHardware(record.desired, machineType)
  const slots = assignSlots(record.slots, record.desired.disks)
  const isPlaced = isDeepStrictEqual(slots, record.slots)
  const isNoted = isPlaced && launch?.bootId === bootId && JSON.stringify(launch.hardware) === JSON.stringify(hardware)
  if (isNoted && !launch.confirmed && retryAt === undefined && !isDue(record)) return record
  return {
    ...withoutWait(withCarriedOut(record)),
    // An explicit version is kept too: a later change to plain q35 does not change the guest's hardware.
    machineType: hardware.machineType,
    launch: { bootId, hardware, confirmed: false },
    slots,
    restarts: retryAt === undefined ? record.restarts : record.restarts + 1,
  }
}

function withoutWait({ retryAt: _retryAt, lastEnding: _lastEnding, ...rest }: MachineRecord): MachineRecord {
  return rest
}

/** Notes that the machine was seen running; the very same record when that is noted already. */
export function withConfirmation(record: MachineRecord, { pid, startTime }: HostProcess): MachineRecord {
  if (record.launch?.confirmed !== false) return record
  return { ...record, launch: { ...record.launch, confirmed: true, process: { pid, startTime } } }
}

/** Whether it is the very process of the launch on record, whoever's it is by now. */
export function isKnownLaunch({ launch }: MachineRecord, process: HostProcess, bootId: string): boolean {
  return launch?.bootId === bootId && launch.process !== undefined && isSame(launch.process, process)
}

/** Whether it is the process of the launch on record, as far as is known; `process` claims to be that machine. */
export function isLaunchOf({ launch }: MachineRecord, process: HostProcess, bootId: string): boolean {
  return launch?.bootId === bootId && (launch.process === undefined || isSame(launch.process, process))
}
