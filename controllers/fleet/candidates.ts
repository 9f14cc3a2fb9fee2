import { DataStorageCondition, type DataStorage } from '../../crds/data-storage.ts'
import type { Host } from '../../crds/host.ts'
import type { PlatformSettings } from '../../crds/platform-settings.ts'
import {
  defaultPlacement,
  type HostCandidate,
  type PlacementSettings,
  type StorageCandidate,
} from '../../policy/placement.ts'
import { knownBytes } from '../../policy/quantity.ts'
import type { FleetHost } from './fleet-host.ts'
import type { Fleet } from './fleet.ts'
import type { HostUse, Ledger } from './ledger.ts'

/** Where things can be placed right now. */
export interface Candidates {
  hosts(): HostCandidate[]
  storages(): StorageCandidate[]
  storage(name: string): StorageCandidate | undefined
  settings(): PlacementSettings
}

interface Sources {
  readonly fleet: Fleet
  readonly ledger: Ledger
  readonly hosts: () => Iterable<Host>
  readonly storages: () => Iterable<DataStorage>
  readonly storage: (name: string) => DataStorage | undefined
  readonly settings: () => PlatformSettings | undefined
}

/** Joins what the API says of hosts and storages with what the fleet and the ledger know. */
export function newCandidates({ fleet, ledger, hosts, storages, storage, settings }: Sources): Candidates {
  const toStorage = ({ metadata: { name }, spec, status }: DataStorage): StorageCandidate => {
    const capacityBytes = knownBytes(status?.capacity)
    const obstacle = obstacleOfStorage(status) ?? (capacityBytes === undefined ? 'has no known capacity' : undefined)
    return {
      name,
      host: spec.local.host,
      ...(obstacle !== undefined && { obstacle }),
      capacityBytes: capacityBytes ?? 0,
      availableBytes: knownBytes(status?.available) ?? 0,
      provisionedBytes: ledger.storageUse(name),
    }
  }
  const toHost = ({ metadata: { name, labels = {} }, status }: Host): HostCandidate => {
    const { observed } = fleet.get(name) ?? {}
    const obstacle = obstacleOf(fleet, name)
    return {
      name,
      labels,
      ...(obstacle !== undefined && { obstacle }),
      cpus: observed?.cpus ?? 0,
      memoryBytes: observed?.memoryBytes ?? 0,
      placed: withOrphans(ledger.hostUse(name), status),
    }
  }
  return {
    hosts: () => [...hosts()].map(toHost),
    storages: () => [...storages()].map(toStorage),
    storage(name) {
      const found = storage(name)
      return found && toStorage(found)
    },
    settings: () => settings()?.spec.placement ?? defaultPlacement,
  }
}

/** A guest that no VirtualMachine stands for takes its part of the host all the same. */
function withOrphans({ cpus, memoryBytes }: HostUse, status: Host['status']): HostUse {
  const orphans = status?.orphans ?? []
  return {
    cpus: orphans.reduce((sum, orphan) => sum + (orphan.cpus ?? 0), cpus),
    memoryBytes: orphans.reduce((sum, orphan) => sum + (knownBytes(orphan.memory) ?? 0), memoryBytes),
  }
}

function obstacleOfStorage(status: DataStorage['status']): string | undefined {
  const usable = status?.conditions?.find(({ type }) => type === DataStorageCondition.Usable)
  if (usable?.status === 'True') return undefined
  return usable ? `is not usable (${usable.reason})` : 'was not looked at yet'
}

function obstacleOf(fleet: Fleet, name: string): string | undefined {
  const host = fleet.get(name)
  if (host?.state !== 'Connected') return whyNotConnected(host)
  const { problem, stateProblem } = host.observed ?? {}
  if (stateProblem?.code === 'StateFull') return 'has no space left for what its agent keeps'
  return problem && `cannot run machines (${problem.code}: ${problem.message})`
}

function whyNotConnected(host: FleetHost | undefined): string {
  if (host?.state === 'Refused' && host.refusal) return `is refused (${host.refusal.reason})`
  return host?.state === 'Unreachable' && host.obstacle ? `cannot be talked to (${host.obstacle})` : 'does not answer'
}
