import type { Disk } from '../../crds/disk.ts'
import type { RecycledResource } from '../../crds/recycled-resource.ts'
import { makerOf, type VirtualMachine } from '../../crds/virtual-machine.ts'
import { knownBytes, toBytes } from '../../policy/quantity.ts'

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
  hostUse(this: void, host: string): HostUse
  /** Sum of the sizes of the disks on it, in bytes. */
  storageUse(this: void, dataStorage: string): number
  /** Counts a placement that is about to be stored, and the root disk that is about to be made for it. */
  reserve(vm: VirtualMachine, host: string, rootDisk?: DiskUse & { machineId: string }): void
  /** Takes back a reservation that was not stored, so that a machine does not stand in its own way. */
  release(vm: VirtualMachine): void
  /** Bytes that a disk counts for on its data storage: what it has, or may grow to. */
  diskUse(this: void, disk: Disk): number
  /** Counts what a disk is about to grow to, before its host is told. */
  growDisk(this: void, disk: Disk, sizeBytes: number): void
  /** To be told of every change, in order. */
  machineChanged(this: void, before: VirtualMachine | undefined, after: VirtualMachine | undefined): void
  diskChanged(this: void, before: Disk | undefined, after: Disk | undefined): void
  /** Disks in the recycle bin take their space as before. */
  entryChanged(this: void, before: RecycledResource | undefined, after: RecycledResource | undefined): void
}

/** CPUs and memory that a placed machine has been given, or would be. */
export function allocatedTo({ spec, status }: VirtualMachine): HostUse {
  const { cpus, memory } = status?.allocated ?? spec
  return { cpus, memoryBytes: knownBytes(memory) ?? toBytes(spec.memory) }
}

/** Makes an empty ledger. */
export function newLedger(): Ledger {
  const cpus = newSums()
  const memory = newSums()
  const storage = newSums()
  /** Machine ids whose root disk is about to be made, by the uid of the machine. */
  const rootDisks = new Map<string, string>()

  const count = (vm: VirtualMachine, host: string) => {
    const allocated = allocatedTo(vm)
    cpus.set(vm.metadata.uid, host, allocated.cpus)
    memory.set(vm.metadata.uid, host, allocated.memoryBytes)
  }
  const release = ({ metadata: { uid } }: VirtualMachine) => {
    cpus.remove(uid)
    memory.remove(uid)
    const machineId = rootDisks.get(uid)
    if (machineId !== undefined) storage.remove(machineId)
    rootDisks.delete(uid)
  }

  return {
    hostUse: (host) => ({ cpus: cpus.of(host), memoryBytes: memory.of(host) }),
    storageUse: (dataStorage) => storage.of(dataStorage),

    reserve(vm, host, rootDisk) {
      release(vm)
      count(vm, host)
      if (!rootDisk) return
      rootDisks.set(vm.metadata.uid, rootDisk.machineId)
      storage.set(rootDisk.machineId, rootDisk.dataStorage, rootDisk.sizeBytes)
    },
    release,

    machineChanged(before, after) {
      if (after?.status?.host !== undefined) count(after, after.status.host)
      if (!after && before) release(before) // One that is there without a host may have a reservation on its way.
    },

    ...newDiskUse(storage),
  }
}

/** Of disks, by their uids, and of those in the recycle bin. */
function newDiskUse(storage: Sums): Pick<Ledger, 'diskUse' | 'growDisk' | 'diskChanged' | 'entryChanged'> {
  const sizes = newDiskSizes()
  return {
    diskUse: ({ metadata }) => storage.amountOf(metadata.uid),
    growDisk(disk, sizeBytes) {
      const { metadata, status } = disk
      sizes.grow(metadata.uid, sizeBytes)
      if (status?.dataStorage !== undefined) storage.set(metadata.uid, status.dataStorage, sizes.of(disk))
    },

    diskChanged(before, after) {
      if (before) storage.remove(before.metadata.uid)
      if (!after) {
        if (before) sizes.forget(before.metadata.uid)
        return
      }
      const machineId = makerOf(after.metadata)
      // It is no longer about to be made: what was reserved for it counts as its own from now on.
      if (machineId !== undefined) storage.remove(machineId)
      const asked = machineId === undefined ? undefined : after.spec.dataStorage
      const dataStorage = after.status?.dataStorage ?? asked
      if (dataStorage !== undefined) storage.set(after.metadata.uid, dataStorage, sizes.of(after))
    },

    entryChanged(before, after) {
      for (const { id } of before?.spec.contents?.disks ?? []) storage.remove(`bin/${id}`)
      for (const { id, dataStorage, size } of after?.spec.contents?.disks ?? []) {
        storage.set(`bin/${id}`, dataStorage, knownBytes(size) ?? 0)
      }
    },
  }
}

/**
 * What disks count for, in bytes. What a spec asks for does not count before it is granted: nobody fills a storage by a
 * number.
 */
function newDiskSizes() {
  /** Bytes that disks may grow to, by their uids, until they have. */
  const growing = new Map<string, number>()
  return {
    grow: (uid: string, sizeBytes: number) => void growing.set(uid, sizeBytes),
    forget: (uid: string) => void growing.delete(uid),
    of({ metadata: { uid }, spec, status }: Disk): number {
      const has = knownBytes(status?.size)
      const granted = growing.get(uid) ?? 0
      if (has === undefined) return toBytes(spec.size)
      if (has >= granted) growing.delete(uid)
      // What was granted may have been taken back before its host was told.
      return Math.max(has, Math.min(granted, toBytes(spec.size)))
    },
  }
}

type Sums = ReturnType<typeof newSums>

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
    amountOf: (key: string) => entries.get(key)?.amount ?? 0,
    remove,
    set(key: string, place: string, amount: number) {
      remove(key)
      entries.set(key, { place, amount })
      add(place, amount)
    },
  }
}
