import { chown } from 'node:fs/promises'
import type { Claim, Decision } from '../contract.ts'
import { isMissing } from '../durable-file.ts'
import { AgentError } from '../errors.ts'
import { claimAll, listClaims, readClaim, releaseAll, type Place } from './claims.ts'
import { diskPath } from './files.ts'
import type { Growth } from './growth.ts'
import type { Locks } from './lock.ts'
import { basePath, readBase, readDiskFile, type DiskFile } from './own-image.ts'
import { QemuImgError, type QemuImg } from './qemu-img.ts'
import type { Storages } from './storages.ts'

/** What QEMU opens for a disk, top first. Each layer is given by name: what a file's own header refers to is not followed. */
export interface OpenableDisk {
  readonly id: string
  readonly layers: readonly { readonly path: string; readonly format: 'qcow2' | 'raw' }[]
}

export interface OwnershipDeps {
  readonly storages: Storages
  readonly growth: Pick<Growth, 'growIfDue'>
  readonly qemuImg: Pick<QemuImg, 'repair'>
  /** The same as the disks have. */
  readonly locks: Locks
}

export interface Machine {
  readonly id: string
  readonly decision: Decision
  readonly owner?: { readonly uid: number; readonly gid: number }
  /** Whether its process has a disk open already; of one that has not, none is. */
  readonly isOpen?: (diskId: string) => boolean
}

/** A disk, and the decision by which its machine has it. */
export interface ClaimedDisk {
  readonly id: string
  readonly storage: string
  readonly decision: Claim['decision']
}

/** Who may open which disk. As in `Storage`. */
export interface Ownership {
  claimsOf(machineId: string): Promise<ClaimedDisk[]>
  claim(machine: Machine, disks: readonly { id: string; storage: string }[]): Promise<OpenableDisk[]>
  release(
    machineId: string,
    isKept: (diskId: string) => boolean,
    claims?: readonly { id: string; storage: string }[],
  ): Promise<void>
}

export function newOwnership(deps: OwnershipDeps): Ownership {
  const { storages, locks } = deps
  /** Machines that had a claim on a storage when it was last looked at. */
  const lastSeen = new Map<string, Set<string>>()
  const see = (storage: string, machineId: string) => {
    lastSeen.set(storage, (lastSeen.get(storage) ?? new Set()).add(machineId))
  }

  return {
    claimsOf: async (machineId) => {
      const { usable } = await storages.survey()
      const found = await Promise.all(usable.map(listClaims))
      return found
        .flat()
        .filter(({ claim }) => claim.machineId === machineId)
        .map(({ place, claim }) => ({ id: place.id, storage: place.folder.name, decision: claim.decision }))
    },
    claim: async (machine, disks) => {
      const storageNames = [...new Set(disks.map(({ storage }) => storage))]
      const folders = new Map(
        await Promise.all(storageNames.map(async (name) => [name, await storages.require(name)] as const)),
      )
      const places = disks.flatMap(({ id, storage }) => {
        const folder = folders.get(storage)
        return folder ? [{ folder, id }] : []
      })
      const paths = places.map(({ folder, id }) => diskPath(folder, id))
      return locks.with(paths, async () => {
        const found = await Promise.all(places.map(async (place) => ({ place, file: await requireFile(place) })))
        await claimAll(machine, places)
        for (const name of storageNames) if (lastSeen.has(name)) see(name, machine.id)
        return Promise.all(found.map(({ place, file }) => open(place, file, machine, deps)))
      })
    },
    release: async (machineId, isKept, claims) => {
      const needed = claims?.filter(({ id }) => !isKept(id)).map(({ storage }) => storage)
      const { usable, unusable } = await storages.survey(needed)
      const releasing = usable.map(async (folder) => {
        const all = await listClaims(folder)
        lastSeen.set(folder.name, new Set(all.map(({ claim }) => claim.machineId)))
        const its = all.filter(({ place, claim }) => claim.machineId === machineId && !isKept(place.id))
        const places = its.map(({ place }) => place)
        await locks.with(
          places.map(({ id }) => diskPath(folder, id)),
          () => giveBack(places, machineId),
        )
      })
      await Promise.all(releasing)
      // Of a storage that was never seen nobody knows which claims lie there.
      const away = needed ? unusable[0] : unusable.find((name) => lastSeen.get(name)?.has(machineId) ?? true)
      if (away === undefined) return
      const message = `Disks on DataStorage ${away} cannot be released, for it cannot be used now: mount it again`
      throw new AgentError('STORAGE_UNAVAILABLE', message)
    },
  }
}

async function requireFile(place: Place): Promise<DiskFile> {
  const file = await readDiskFile(place.folder, place.id)
  if (file) return file
  const message = `There is no disk ${place.id} on DataStorage ${place.folder.name}: restore it, or make it anew`
  throw new AgentError('DISK_NOT_FOUND', message)
}

/** Makes a disk that is claimed ready for QEMU, which opens each layer by its name and follows no header. */
async function open(place: Place, file: DiskFile, machine: Machine, deps: OwnershipDeps): Promise<OpenableDisk> {
  const base = file.base && (await requireBase(place, file.base))
  if (machine.isOpen?.(place.id) !== true) await makeReady(place, file, machine, deps)
  return { id: place.id, layers: [{ path: file.path, format: 'qcow2' }, ...(base ? [base] : [])] }
}

// A disk that a guest writes to looks like one that was not closed cleanly.
async function makeReady(place: Place, file: DiskFile, { owner }: Machine, deps: OwnershipDeps): Promise<void> {
  if (file.isDirty) await repair(place, file.path, deps.qemuImg)
  await deps.growth.growIfDue(file.path)
  if (owner) await chown(file.path, owner.uid, owner.gid)
}

async function requireBase(
  { folder, id }: Place,
  base: NonNullable<DiskFile['base']>,
): Promise<OpenableDisk['layers'][number]> {
  if ((await readBase(folder, base)) === undefined) {
    const message = `The image that disk ${id} is made from is missing on DataStorage ${folder.name}: restore ${base.file}`
    throw new AgentError('STORAGE_UNAVAILABLE', message)
  }
  return { path: basePath(folder, base), format: base.format }
}

async function repair({ folder, id }: Place, path: string, qemuImg: Pick<QemuImg, 'repair'>): Promise<void> {
  try {
    await qemuImg.repair(path)
  } catch (error) {
    if (!(error instanceof QemuImgError)) throw error
    if (error.code === 'InUse') {
      const message = `Disk ${id} on DataStorage ${folder.name} is open in another process: end that one first`
      throw new AgentError('STORAGE_UNAVAILABLE', message, { cause: error })
    }
    if (error.code !== 'Damaged') throw error
    const message = `Disk ${id} is damaged and cannot be repaired: restore it from a snapshot or a copy`
    throw new AgentError('IMAGE_REJECTED', message, { cause: error })
  }
}

/** Looks again, for the claims may be others by now; takes the files from the machine's user, then the claims. */
async function giveBack(places: readonly Place[], machineId: string): Promise<void> {
  const still = await Promise.all(
    places.map(async (place) => ((await readClaim(place))?.machineId === machineId ? [place] : [])),
  )
  const its = still.flat()
  await Promise.all(its.map(({ folder, id }) => takeBack(diskPath(folder, id))))
  await releaseAll(its)
}

async function takeBack(path: string): Promise<void> {
  const [uid, gid] = [process.getuid?.(), process.getgid?.()]
  // Only root could give the file away.
  if (uid !== 0 || gid === undefined) return
  try {
    await chown(path, uid, gid)
  } catch (error) {
    if (!isMissing(error)) throw error // A claim on a disk that is gone is released all the same.
  }
}
