import type { DesiredMachine, HostAgent, ObservedHost, ObservedMachine } from './contract.ts'
import type { Terms } from './terms.ts'

const host: ObservedHost = {
  name: 'host-1',
  contractVersions: [1],
  agentVersion: '0.0.0',
  bootId: 'boot-1',
  cpus: 2,
  memoryBytes: 2 ** 32,
  accelerator: 'TCG',
  acceleratorReason: 'because',
  imageSandbox: 'None',
}

/** What a host shows of a machine that is as desired. */
export function observedAs({ id, name, decision, power }: DesiredMachine): ObservedMachine {
  const state = power
  const { epoch } = decision
  return { id, name, decision: { id: decision.id, epoch }, power, state, pendingRestart: [], restarts: 0, revision: 1 }
}

/** Terms that nobody stores. */
export const anyTerms: Terms = { admit: async () => undefined, note: async () => undefined }

/** Whom a test's server tells its metrics, and what it says. */
export const someMetrics = {
  readerNames: ['holdfast-metrics'],
  metrics: { contentType: 'text/plain; version=0.0.4; charset=utf-8', render: async () => 'holdfast_vm_up 1\n' },
}

/** A host that has nothing and does whatever it is asked. */
export function fakeAgent(change: Partial<HostAgent> = {}): HostAgent {
  return {
    host: async () => host,
    machines: async () => [],
    putMachine: async (machine) => observedAs(machine),
    putStorage: async ({ name }) => ({ name, capacityBytes: 2, availableBytes: 1 }),
    putDisk: async ({ id, storage, sizeBytes }) => ({ id, storage, state: 'Ready', sizeBytes }),
    deleteDisk: async () => undefined,
    inspectImage: async () => ({ state: 'Checking' }),
    putImage: async () => ({ state: 'Downloading', receivedBytes: 0 }),
    deleteImage: async () => undefined,
    stopGuests: async () => undefined,
    events: async function* events() {
      yield { type: 'Synced' }
    },
    ...change,
  }
}
