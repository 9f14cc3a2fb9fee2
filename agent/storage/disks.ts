import { link, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { DesiredDisk, ObservedDisk } from '../contract.ts'
import { isTaken, syncFolder } from '../durable-file.ts'
import { AgentError } from '../errors.ts'
import type { BaseImages } from './base-images.ts'
import { readClaim } from './claims.ts'
import type { EmptyDisks } from './empty-disks.ts'
import { diskPath, DISKS, type Folder } from './files.ts'
import type { Growth } from './growth.ts'
import { Job, timeLeft, type TimeLeft } from './job.ts'
import type { Locks } from './lock.ts'
import { backingName, readDiskFile, type Base, type DiskFile } from './own-image.ts'
import { MAX_VIRTUAL_BYTES } from './qcow2-header.ts'
import type { Storages } from './storages.ts'

export interface DisksDeps {
  readonly storages: Storages
  readonly baseImages: BaseImages
  readonly emptyDisks: EmptyDisks
  readonly growth: Growth
  /** By the path of a disk: held by whoever changes it, or who may use it. */
  readonly locks: Locks
  /** Work on a disk has ended of which somebody was told that it takes longer. */
  readonly onEnd: (disk: ObservedDisk) => void
}

export interface Disks {
  /** As `HostAgent.putDisk`. */
  put(desired: DesiredDisk, waitMs: number | undefined): Promise<ObservedDisk>
  /** As `HostAgent.deleteDisk`. */
  delete(storage: string, id: string): Promise<void>
}

const SECTOR_BYTES = 512

export function newDisks(deps: DisksDeps): Disks {
  const { storages, locks, onEnd } = deps
  const jobs = new Map<string, Job<ObservedDisk>>()

  const start = (folder: Folder, desired: DesiredDisk): Job<ObservedDisk> => {
    const path = diskPath(folder, desired.id)
    const work = locks.with([path], () => bring(folder, desired, deps))
    const job = new Job(work, (result, isAwaitedLater) => {
      const isDone = result.status === 'fulfilled'
      // Whoever was told to wait asks again, and gets the failure then.
      if (isDone || !isAwaitedLater) jobs.delete(path)
      if (isAwaitedLater) onEnd(isDone ? result.value : observed(desired, 'Creating', desired.sizeBytes))
    })
    jobs.set(path, job)
    return job
  }

  const look = async (desired: DesiredDisk): Promise<{ folder: Folder; path: string; there: DiskFile | undefined }> => {
    const folder = await storages.require(desired.storage)
    return { folder, path: diskPath(folder, desired.id), there: await readDiskFile(folder, desired.id) }
  }
  const put = async (desired: DesiredDisk, leftMs: TimeLeft): Promise<ObservedDisk> => {
    const { folder, path, there } = await look(desired)
    const known = jobs.get(path)
    // A file of a job that still runs is there before it is safe against a crash.
    if (there && !known && isLargeEnough(there, desired)) return observed(desired, 'Ready', there.sizeBytes)
    if (known?.isRunning === false) jobs.delete(path)
    const result = await (known ?? start(folder, desired)).result(leftMs())
    if (!result) return unfinished(desired, there)
    // It may have been begun for one who wanted less.
    return known && !isLargeEnough(result, desired) ? put(desired, leftMs) : result
  }

  return {
    put: (desired, waitMs) => put(checked(desired), timeLeft(waitMs)),
    delete: async (storage, id) => {
      const folder = await storages.require(storage)
      const path = diskPath(folder, id)
      const removed = await locks.with([path], () => remove(folder, id))
      deps.growth.forget(path)
      // Only then, for a folder of disks that looks empty may have something else mounted over it.
      if (removed?.base) await deps.baseImages.prune(folder)
    },
  }
}

function isLargeEnough(disk: { readonly sizeBytes: number }, wanted: DesiredDisk): boolean {
  return disk.sizeBytes >= wanted.sizeBytes
}

async function bring(folder: Folder, desired: DesiredDisk, deps: DisksDeps): Promise<ObservedDisk> {
  const there = await readDiskFile(folder, desired.id)
  if (!there && desired.mustExist) {
    throw new AgentError('DISK_NOT_FOUND', `There is no disk ${desired.id} on DataStorage ${folder.name}: restore it`)
  }
  if (!there) return create(folder, desired, deps)
  if (isLargeEnough(there, desired)) return observed(desired, 'Ready', there.sizeBytes)
  const state = await deps.growth.grow(there.path, desired.sizeBytes)
  return observed(desired, state, state === 'Ready' ? desired.sizeBytes : there.sizeBytes)
}

function checked(desired: DesiredDisk): DesiredDisk {
  const sizeBytes = Math.ceil(desired.sizeBytes / SECTOR_BYTES) * SECTOR_BYTES
  if (sizeBytes > 0 && sizeBytes <= MAX_VIRTUAL_BYTES) return { ...desired, sizeBytes }
  throw new AgentError('BAD_REQUEST', 'A disk has between 1 byte and 64 TiB: choose another size')
}

function observed({ id, storage }: DesiredDisk, state: ObservedDisk['state'], sizeBytes: number): ObservedDisk {
  return { id, storage, state, sizeBytes }
}

function unfinished(desired: DesiredDisk, there: DiskFile | undefined): ObservedDisk {
  return there ? observed(desired, 'Growing', there.sizeBytes) : observed(desired, 'Creating', desired.sizeBytes)
}

async function create(folder: Folder, desired: DesiredDisk, deps: DisksDeps): Promise<ObservedDisk> {
  const { image, sizeBytes } = desired
  if (!image) return createOn(undefined, folder, desired, deps)
  return deps.baseImages.using(folder, image, async (base, virtualSizeBytes) => {
    if (sizeBytes < virtualSizeBytes) {
      const message = `The disk is smaller than its image: give it ${virtualSizeBytes} bytes or more`
      throw new AgentError('BAD_REQUEST', message)
    }
    return createOn(base, folder, desired, deps)
  })
}

async function createOn(
  base: Base | undefined,
  folder: Folder,
  desired: DesiredDisk,
  { emptyDisks }: DisksDeps,
): Promise<ObservedDisk> {
  const { id, sizeBytes } = desired
  const temporary = folder.names.path(join(folder.path, DISKS))
  try {
    await emptyDisks.make(temporary, sizeBytes, base && { name: backingName(base), format: base.format })
    await publish(temporary, diskPath(folder, id))
  } finally {
    await rm(temporary, { force: true })
  }
  await syncFolder(join(folder.path, DISKS))
  return observed(desired, 'Ready', sizeBytes)
}

/** Unlike a rename, this never replaces a disk. */
async function publish(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path)
  } catch (error) {
    if (isTaken(error)) throw new AgentError('INTERNAL', `The disk ${path} was made by somebody else meanwhile`)
    throw error
  }
}

/** Returns the disk that was there. */
async function remove(folder: Folder, id: string): Promise<DiskFile | undefined> {
  const claim = await readClaim({ folder, id })
  if (claim) {
    const message = `Disk ${id} is claimed by machine ${claim.machineId}: detach it there first`
    throw new AgentError('DISK_IN_USE', message, { details: claim })
  }
  const there = await readIfSound(folder, id)
  await rm(diskPath(folder, id), { force: true })
  await syncFolder(join(folder.path, DISKS))
  return there
}

async function readIfSound(folder: Folder, id: string): Promise<DiskFile | undefined> {
  try {
    return await readDiskFile(folder, id)
  } catch (error) {
    // A damaged disk can be deleted too.
    if (error instanceof AgentError && error.code === 'IMAGE_REJECTED') return undefined
    throw error
  }
}
