import { createHash } from 'node:crypto'
import type { Clock } from '../../lib/clock.ts'
import {
  CONTRACT_VERSION,
  type AgentEvent,
  type Claim,
  type DesiredDisk,
  type HostAgent,
  type InspectedImage,
  type ObservedDisk,
} from '../contract.ts'
import { AgentError } from '../errors.ts'
import { newEventHub } from '../event-hub.ts'
import { SimulatedMachine } from './machine.ts'

export interface SimulatedHostOptions {
  readonly name: string
  /** How long a machine takes from the order until it runs. */
  readonly startMs: number
  readonly clock: Clock
}

const GI = 2 ** 30
const CPUS = 256
const MEMORY_BYTES = 4096 * GI
const STORAGE_BYTES = 1024 * 1024 * GI
const IMAGE_BYTES = 64 * 2 ** 20

/**
 * A host whose machines and disks are only told of: it obeys, refuses stale orders and claimed disks as an agent does,
 * and reports what would be. It remembers nothing beyond its process.
 */
export function newSimulatedHost({ name, startMs, clock }: SimulatedHostOptions): HostAgent {
  const machines = new Map<string, SimulatedMachine>()
  const disks = new Map<string, ObservedDisk>()
  const claims = new Map<string, Claim>()
  const events = newEventHub()
  let revisions = 0
  const machineDeps = {
    clock,
    startMs,
    nextRevision: () => ++revisions,
    onChange: (machine: SimulatedMachine) => events.publish({ type: 'Machine', machine: machine.observed() }),
  }
  const all = () => [...machines.values()].map((machine) => machine.observed())

  return {
    host: async () => ({
      name,
      contractVersions: [CONTRACT_VERSION],
      agentVersion: 'simulated',
      bootId: name,
      cpus: CPUS,
      memoryBytes: MEMORY_BYTES,
      accelerator: 'TCG',
      acceleratorReason: 'this host is simulated: no guest runs on it',
      imageSandbox: 'None',
      qemuVersion: 'simulated',
    }),
    machines: async () => all(),
    async putMachine(desired, waitMs = 0) {
      const machine = machines.get(desired.id) ?? new SimulatedMachine(machineDeps)
      const accepted = machine.accept(desired)
      if (desired.power === 'Running') checkDisks(accepted.desired, claims)
      machines.set(desired.id, machine)
      holdClaims(accepted.desired, claims)
      machine.obey(accepted)
      return machine.settled(waitMs)
    },
    putStorage: async (desired) => ({
      name: desired.name,
      capacityBytes: STORAGE_BYTES,
      availableBytes: STORAGE_BYTES,
    }),
    putDisk: async (desired) => keepDisk(desired, disks),
    async deleteDisk(_storage, id) {
      const details = claims.get(id)
      if (details) throw new AgentError('DISK_IN_USE', `Disk ${id} is claimed by a machine`, { details })
      disks.delete(id)
    },
    inspectImage: async ({ path, sha256 }) => verified(sha256 ?? digestOf(path)),
    putImage: async ({ sha256 }) => verified(sha256),
    deleteImage: () => Promise.resolve(),
    stopGuests: () => Promise.resolve(),
    events: (signal) => {
      const known = all().map((machine): AgentEvent => ({ type: 'Machine', machine }))
      return events.listen([...known, { type: 'Synced' }], signal)
    },
  }
}

type Order = Parameters<HostAgent['putMachine']>[0]

/** Disks that it was told of before its process was started again are there, as on a host that was. */
function checkDisks({ id, disks: wanted }: Order, claims: ReadonlyMap<string, Claim>) {
  for (const disk of wanted) {
    const details = claims.get(disk.id)
    if (!details || details.machineId === id) continue
    throw new AgentError('DISK_CLAIMED', `Disk ${disk.id} belongs to machine ${details.machineId}`, { details })
  }
}

/** A machine holds its disks until it is absent, or has them no longer. */
function holdClaims({ id, decision, disks, power }: Order, claims: Map<string, Claim>): void {
  for (const [disk, { machineId }] of claims) if (machineId === id) claims.delete(disk)
  if (power === 'Absent') return
  for (const disk of disks) {
    if (!claims.has(disk.id))
      claims.set(disk.id, { machineId: id, decision: { id: decision.id, epoch: decision.epoch } })
  }
}

function keepDisk({ id, storage, sizeBytes }: DesiredDisk, disks: Map<string, ObservedDisk>): ObservedDisk {
  const disk: ObservedDisk = {
    id,
    storage,
    state: 'Ready',
    sizeBytes: Math.max(sizeBytes, disks.get(id)?.sizeBytes ?? 0),
  }
  disks.set(id, disk)
  return disk
}

function verified(sha256: string): InspectedImage {
  return { state: 'Verified', sha256, sizeBytes: IMAGE_BYTES, virtualSizeBytes: IMAGE_BYTES }
}

function digestOf(path: string): string {
  return createHash('sha256').update(path).digest('hex')
}
