import type { Disk } from '../../crds/disk.ts'
import { MACHINE_ID_LABEL, type VirtualMachine } from '../../crds/virtual-machine.ts'
import { toBytes } from '../../policy/quantity.ts'

export interface HostUse {
  readonly cpus: number
  readonly memoryBytes: number
}

export interface DiskUse {
  readonly dataStorage: string
  readonly sizeBytes: number
}

/**
 * What is placed on every host and data storage, kept as running sums, so that placing one machine costs the same
 * however many there are. A placement counts from the moment it is chosen, before it is stored.
 */
export interface Ledger {
  hostUse(host: string): HostUse
  /** Sum of the sizes of the disks on it, in bytes. */
  storageUse(dataStorage: string): number
  /** Counts a placement that is about to be stored, and the root disk that is about to be made for it. */
  reserve(vm: VirtualMachine, host: string, rootDisk?: DiskUse & { machineId: string }): void
  /** To be told of every change, in order. */
  machineChanged(before: VirtualMachine | undefined, after: VirtualMachine | undefined): void
  diskChanged(before: Disk | undefined, after: Disk | undefined): void
}

/** Makes an empty ledger. */
export function newLedger(): Ledger {
  const cpus = newSums()
  const memory = newSums()
  const storage = newSums()

  const count = (vm: VirtualMachine, host: string) => {
    cpus.set(vm.metadata.uid, host, vm.spec.cpus)
    memory.set(vm.metadata.uid, host, toBytes(vm.spec.memory))
  }

  return {
    hostUse: (host) => ({ cpus: cpus.of(host), memoryBytes: memory.of(host) }),
    storageUse: (dataStorage) => storage.of(dataStorage),

    reserve(vm, host, rootDisk) {
      count(vm, host)
      if (rootDisk) storage.set(rootDisk.machineId, rootDisk.dataStorage, rootDisk.sizeBytes)
    },

    machineChanged(before, after) {
      if (after?.status?.host !== undefined) count(after, after.status.host)
      if (after || !before) return // Without a host: a reservation that is on its way stays.
      cpus.remove(before.metadata.uid)
      memory.remove(before.metadata.uid)
      if (before.status?.machineId !== undefined) storage.remove(before.status.machineId)
    },

    diskChanged(before, after) {
      if (before) storage.remove(before.metadata.uid)
      const dataStorage = after?.status?.dataStorage ?? after?.spec.dataStorage
      if (!after || dataStorage === undefined) return
      storage.set(after.metadata.uid, dataStorage, toBytes(after.spec.size))
      const machineId = after.metadata.labels?.[MACHINE_ID_LABEL]
      if (machineId !== undefined) storage.remove(machineId) // It is no longer about to be made.
    },
  }
}

/** Sums of amounts by place. Every amount has a key, and is at one place at a time. */
function newSums() {
  const entries = new Map<string, { place: string; amount: number }>()
  const sums = new Map<string, number>()
  const add = (place: string, amount: number) => void sums.set(place, (sums.get(place) ?? 0) + amount)
  const remove = (key: string) => {
    const entry = entries.get(key)
    if (entry) add(entry.place, -entry.amount)
    entries.delete(key)
  }
  return {
    of: (place: string) => sums.get(place) ?? 0,
    remove,
    set(key: string, place: string, amount: number) {
      remove(key)
      entries.set(key, { place, amount })
      add(place, amount)
    },
  }
}
