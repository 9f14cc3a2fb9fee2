import { link, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { claim as claimSchema, type Claim, type Decision } from '../contract.ts'
import { isTaken, readIfThere, syncFolder } from '../durable-file.ts'
import { AgentError } from '../errors.ts'
import { claimPath, diskOfClaim, DISKS, listIfThere, writeNewFile, type Folder } from './files.ts'

/** What a machine is about to do with disks. */
export interface Claimant {
  readonly id: string
  readonly decision: Decision
}

/** A disk on a storage that can be used now. */
export interface Place {
  readonly folder: Folder
  readonly id: string
}

/**
 * A sidecar is the last word on who may write to a disk: it lies beside it, so it is right also when the platform's
 * own record was set back to yesterday. Decisions are compared by id, for after that the same epoch may come twice.
 */
export type Judgement = 'Free' | 'Held' | 'Follows' | 'Foreign'

export function judgeClaim(found: Claim | undefined, { id, decision }: Claimant): Judgement {
  if (!found) return 'Free'
  if (found.machineId !== id) return 'Foreign'
  if (found.decision.id === decision.id) return 'Held'
  return decision.follows.includes(found.decision.id) ? 'Follows' : 'Foreign'
}

/** The claim on a disk; undefined when it is free. Throws when the sidecar is damaged: then nobody knows. */
export async function readClaim({ folder, id }: Place): Promise<Claim | undefined> {
  const path = claimPath(folder, id)
  const text = await readIfThere(path)
  if (text === undefined) return undefined
  try {
    return claimSchema.parse(JSON.parse(text))
  } catch (cause) {
    throw new AgentError('INTERNAL', `The claim ${path} is damaged: remove it if no machine uses the disk`, { cause })
  }
}

/** Claims all places or none, durably. Throws `DISK_CLAIMED`. The caller lets nobody else claim them meanwhile. */
export async function claimAll(claimant: Claimant, places: readonly Place[]): Promise<void> {
  const found = await Promise.all(places.map(async (place) => ({ place, claim: await readClaim(place) })))
  const judged = found.map((one) => ({ ...one, judgement: judgeClaim(one.claim, claimant) }))
  const foreign = judged.find(({ judgement }) => judgement === 'Foreign')
  if (foreign) throw refusal(foreign.place.id, foreign.claim)

  await using undo = new AsyncDisposableStack()
  const changing = judged.filter(({ judgement }) => judgement !== 'Held')
  const written = await Promise.allSettled(
    changing.map(async ({ place, claim }) => {
      await write(place, toClaim(claimant), claim !== undefined)
      undo.defer(() => (claim ? write(place, claim, true) : remove(place)))
    }),
  )
  for (const result of written) if (result.status === 'rejected') throw result.reason
  await syncAll(changing.map(({ place }) => place))
  undo.move()
}

function toClaim({ id, decision }: Claimant): Claim {
  return { machineId: id, decision: { id: decision.id, epoch: decision.epoch } }
}

function refusal(id: string, found: Claim | undefined): AgentError {
  const holder = found ? `machine ${found.machineId}` : 'another machine'
  return new AgentError('DISK_CLAIMED', `Disk ${id} is claimed by ${holder}: detach it there first`, { details: found })
}

async function write({ folder, id }: Place, claim: Claim, replaces: boolean): Promise<void> {
  const path = claimPath(folder, id)
  const temporary = folder.names.path(dirname(path))
  try {
    await writeNewFile(temporary, `${JSON.stringify(claim)}\n`, 0o600)
    if (replaces) return await rename(temporary, path)
    // Unlike a rename it fails when another host was faster.
    await link(temporary, path)
  } catch (error) {
    if (isTaken(error)) throw refusal(id, await readClaim({ folder, id }))
    throw error
  } finally {
    await rm(temporary, { force: true })
  }
}

async function remove({ folder, id }: Place): Promise<void> {
  await rm(claimPath(folder, id), { force: true })
}

/** Gives up claims, durably. */
export async function releaseAll(places: readonly Place[]): Promise<void> {
  await Promise.all(places.map(remove))
  await syncAll(places)
}

async function syncAll(places: readonly Place[]): Promise<void> {
  const folders = new Set(places.map(({ folder }) => join(folder.path, DISKS)))
  await Promise.all([...folders].map(syncFolder))
}

/** Every claim on a storage. A damaged one is nobody's, so nobody's work waits for it. */
export async function listClaims(folder: Folder): Promise<{ readonly place: Place; readonly claim: Claim }[]> {
  const ids = (await listIfThere(join(folder.path, DISKS))).flatMap((name) => diskOfClaim(name) ?? [])
  const found = await Promise.all(ids.map((id) => lookAt({ folder, id })))
  return found.filter((one) => one !== undefined)
}

async function lookAt(place: Place): Promise<{ readonly place: Place; readonly claim: Claim } | undefined> {
  try {
    const claim = await readClaim(place)
    return claim && { place, claim }
  } catch (error) {
    if (error instanceof AgentError) return undefined
    throw error
  }
}
