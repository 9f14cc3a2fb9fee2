import type { AgentEvent, HostAgent, ObservedHost, StateProblem } from './contract.ts'
import { CONTRACT_VERSION } from './contract.ts'
import type { EventHub } from './event-hub.ts'
import type { Hypervisor } from './hypervisor.ts'
import type { Machines } from './machine/machines.ts'
import type { Storage } from './storage/storage.ts'

export interface AgentDeps {
  readonly name: string
  readonly version: string
  readonly imageSandbox: ObservedHost['imageSandbox']
  readonly stateProblem: () => StateProblem | undefined
  readonly hypervisor: Pick<Hypervisor, 'observe'>
  readonly machines: Pick<Machines, 'list' | 'put' | 'growDisk' | 'stopGuests'>
  readonly storage: Pick<Storage, 'putStorage' | 'putDisk' | 'deleteDisk' | 'inspectImage' | 'putImage' | 'deleteImage'>
  readonly events: EventHub
}

/** The contract, as this host fulfils it. */
export function newAgent(deps: AgentDeps): HostAgent {
  const { name, version, imageSandbox, hypervisor, machines, storage, events } = deps
  return {
    host: async () => ({
      ...withState(deps.stateProblem()),
      name,
      contractVersions: [CONTRACT_VERSION],
      agentVersion: version,
      imageSandbox,
      ...(await hypervisor.observe()),
    }),
    machines: async () => machines.list(),
    putMachine: (machine, waitMs = 0) => machines.put(machine, waitMs),
    putStorage: (desired) => storage.putStorage(desired),
    putDisk: async (disk, waitMs) => {
      const observed = await storage.putDisk(disk, waitMs)
      const hasGrown = observed.state === 'Growing' && (await machines.growDisk(disk))
      return hasGrown ? storage.putDisk(disk, waitMs) : observed
    },
    deleteDisk: (storageName, id) => storage.deleteDisk(storageName, id),
    inspectImage: (query, waitMs) => storage.inspectImage(query, waitMs),
    putImage: (image, waitMs) => storage.putImage(image, waitMs),
    deleteImage: (sha256) => storage.deleteImage(sha256),
    stopGuests: () => machines.stopGuests(),
    events: (signal) => {
      const known = machines.list().map((machine): AgentEvent => ({ type: 'Machine', machine }))
      return events.listen([...known, { type: 'Synced' }], signal)
    },
  }
}

function withState(stateProblem: StateProblem | undefined): Pick<ObservedHost, 'stateProblem'> {
  return stateProblem ? { stateProblem } : {}
}
