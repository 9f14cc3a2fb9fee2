import { join } from 'node:path'
import { systemClock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { AgentEvent, Decision, DesiredDisk, DesiredImage, DesiredStorage, ImageQuery } from '../contract.ts'
import type { InspectedImage, ObservedDisk, ObservedStorage } from '../contract.ts'
import { syncFolder } from '../durable-file.ts'
import { newBaseImages } from './base-images.ts'
import { newDisks } from './disks.ts'
import { newEmptyDisks } from './empty-disks.ts'
import { systemResolve } from './download/resolve.ts'
import { usualLimits } from './download/download.ts'
import { newDownloads, prepareDownloads } from './download/downloads.ts'
import { explainFailures } from './failures.ts'
import { DISKS, IMAGES, type Folder } from './files.ts'
import { newGrowth } from './growth.ts'
import { newInspect } from './inspect.ts'
import { newLocks } from './lock.ts'
import { newOwnership, type ClaimedDisk, type OpenableDisk } from './ownership.ts'
import { newQemuImg } from './qemu-img.ts'
import { probeSandbox } from './sandbox.ts'
import type { MeasuredStorage } from './space-meter.ts'
import { openStorages } from './storages.ts'

export type { ClaimedDisk, OpenableDisk } from './ownership.ts'

/** The disks and images of this host. Every method is idempotent; what it can explain it throws as `AgentError`. */
export interface Storage {
  /** As `HostAgent.putStorage`. */
  putStorage(storage: DesiredStorage): Promise<ObservedStorage>
  /** As `HostAgent.putDisk`. Without `waitMs` it waits for the end. */
  putDisk(disk: DesiredDisk, waitMs?: number): Promise<ObservedDisk>
  /** As `HostAgent.deleteDisk`. */
  deleteDisk(storage: string, id: string): Promise<void>
  /** As `HostAgent.inspectImage`. Without `waitMs` it waits for the end. */
  inspectImage(query: ImageQuery, waitMs?: number): Promise<InspectedImage>
  /** As `HostAgent.putImage`. Without `waitMs` it waits for the end. */
  putImage(image: DesiredImage, waitMs?: number): Promise<InspectedImage>
  /** As `HostAgent.deleteImage`. */
  deleteImage(sha256: string): Promise<void>
  /**
   * Claims every disk for this decision, all or none; throws DISK_CLAIMED, DISK_NOT_FOUND, STORAGE_UNAVAILABLE, and
   * IMAGE_REJECTED for a damaged disk. Durable when it returns. Also hands the files to uid and gid when given, repairs
   * a disk that was not closed cleanly, and lets one grow that waited for that. Of a disk that the machine's process
   * has open only the claim changes.
   */
  claimDisks(
    machine: { id: string; decision: Decision; owner?: { uid: number; gid: number }; isOpen?: (id: string) => boolean },
    disks: readonly { id: string; storage: string }[],
  ): Promise<OpenableDisk[]>
  /**
   * Releases every claim that this machine holds on disks that are not to be kept. Its process must have none of them open.
   * `claims` are all that it may hold: only their storages are needed. Without them every storage is searched. Throws
   * STORAGE_UNAVAILABLE after all others are released when it may hold some on a storage that cannot be used now.
   */
  releaseDisks(
    machineId: string,
    isKept: (diskId: string) => boolean,
    claims?: readonly { id: string; storage: string }[],
  ): Promise<void>
  /** What a machine has claimed on the storages that can be used now. */
  claimsOf(machineId: string): Promise<ClaimedDisk[]>
  /** As `Storages.measure`. */
  measure(): Promise<MeasuredStorage[]>
  /** Tells of work that ended after somebody was told that it takes longer: what came of it is had by asking again. */
  onChange(listener: (event: StorageEvent) => void): void
}

type StorageEvent = Extract<AgentEvent, { type: 'Disk' | 'Image' | 'Download' }>

export interface StorageConfig {
  readonly stateDir: string
  readonly importDir: string
  /** Made where it is not there. */
  readonly downloadDir: string
  readonly runDir: string
  /** Guests run as users of their own, and not as the agent's. */
  readonly hasOwnUsers: boolean
  /** Name or path of the program. */
  readonly qemuImg: string
  readonly log: Log
}

/** Takes up the storages that an earlier agent knew, and removes what it left half made. */
export async function openStorage(config: StorageConfig): Promise<Storage> {
  const { stateDir, runDir, importDir, downloadDir, hasOwnUsers, qemuImg: program, log } = config
  const listeners: ((event: StorageEvent) => void)[] = []
  const tell = (event: StorageEvent) => {
    for (const listener of listeners) listener(event)
  }
  const qemuImg = newQemuImg(program, await probeSandbox())
  const baseImages = newBaseImages({ importDir, downloadDir, qemuImg, log })
  const onFirstUse = async (folder: Folder) => {
    const places = [folder.path, join(folder.path, DISKS), join(folder.path, IMAGES)]
    const removed = await Promise.all(places.map((place) => folder.names.sweep(place)))
    // What an earlier process named may be found, and counted on, before it was made durable.
    await Promise.all([DISKS, IMAGES].map((part) => syncFolder(join(folder.path, part))))
    log.info({ storage: folder.name, path: folder.path, removed: removed.reduce((a, b) => a + b) }, 'storage in use')
  }
  const storages = await openStorages({
    stateDir,
    otherDirs: [importDir, downloadDir, runDir],
    hasOwnUsers,
    log,
    onFirstUse,
  })
  const locks = newLocks()
  const growth = newGrowth(qemuImg)
  const shared = { storages, qemuImg, growth, locks }
  const emptyDisks = newEmptyDisks(qemuImg)
  const disks = newDisks({ ...shared, emptyDisks, baseImages, onEnd: (disk) => tell({ type: 'Disk', disk }) })
  const ownership = newOwnership(shared)
  await prepareDownloads(downloadDir)
  const downloads = newDownloads({
    downloadDir,
    qemuImg,
    resolve: systemResolve,
    limits: usualLimits,
    clock: systemClock,
    log,
    onEnd: (sha256) => tell({ type: 'Download', sha256 }),
  })
  const inspect = newInspect({ importDir, qemuImg, log, onEnd: (path) => tell({ type: 'Image', path }) })
  // Nobody waits for it: one storage that does not answer must not keep the agent from starting.
  void storages.survey()

  return {
    putStorage: (desired) => explainFailures(desired.name, () => storages.put(desired)),
    putDisk: (desired, waitMs) => explainFailures(desired.storage, () => disks.put(desired, waitMs)),
    deleteDisk: (storage, id) => explainFailures(storage, () => disks.delete(storage, id)),
    inspectImage: inspect,
    putImage: (image, waitMs) => downloads.put(image, waitMs),
    deleteImage: (sha256) => downloads.remove(sha256),
    claimDisks: (machine, wanted) => explainFailures(namesOf(wanted), () => ownership.claim(machine, wanted)),
    releaseDisks: (machineId, isKept, claims) =>
      explainFailures('of the machine', () => ownership.release(machineId, isKept, claims)),
    claimsOf: (machineId) => ownership.claimsOf(machineId),
    measure: () => storages.measure(),
    onChange: (listener) => {
      listeners.push(listener)
    },
  }
}

function namesOf(disks: readonly { storage: string }[]): string {
  return [...new Set(disks.map(({ storage }) => storage))].join(' or ')
}
