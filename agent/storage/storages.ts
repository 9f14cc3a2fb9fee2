import { randomUUID } from 'node:crypto'
import { isAbsolute, join, resolve } from 'node:path'
import * as z from 'zod'
import type { Log } from '../../lib/log.ts'
import type { DesiredStorage, ObservedStorage } from '../contract.ts'
import { readIfThere, writeDurably } from '../durable-file.ts'
import { AgentError } from '../errors.ts'
import { newTemporaryNames, type Folder, type TemporaryNames } from './files.ts'
import { objectionToChoice, pathsOf, type TakenFolder } from './folder-choice.ts'
import { measure, objectionToFolder, objectionToSpace, objectionToWriting, problemOf } from './folder-problem.ts'
import type { Problem } from './folder-problem.ts'
import { objectionToAccess } from './guest-access.ts'
import { newLocks } from './lock.ts'
import { holdsData, objectionToContents, readMarker, takeFolder } from './marker.ts'
import { newSpaceMeter, type MeasuredStorage } from './space-meter.ts'

/** The folders that disks are kept in, by name. They are remembered on the host's own disk, so that nobody need be asked. */
export interface Storages {
  /** As `HostAgent.putStorage`. */
  put(desired: DesiredStorage): Promise<ObservedStorage>
  /** Throws `STORAGE_UNAVAILABLE` while the folder is not there, or is not the one that it was. */
  require(name: string): Promise<Folder>
  /** How much room each has that was in use ever. None for one that cannot be used, or does not answer in time. */
  measure(): Promise<MeasuredStorage[]>
  /** Of these storages, or of all that are known, those that can be used now, and the names of those that cannot. */
  survey(names?: readonly string[]): Promise<{ usable: Folder[]; unusable: string[] }>
}

export interface StoragesDeps {
  readonly stateDir: string
  /** Folders of the agent besides, which are none for disks. */
  readonly otherDirs: readonly string[]
  /** Guests run as users of their own, and not as the agent's. */
  readonly hasOwnUsers: boolean
  readonly log: Log
  /** A storage can be used for the first time since the agent started. */
  readonly onFirstUse: (folder: Folder) => Promise<void>
}

const known = z.object({
  /** Tells this agent's temporary files from those of others on the same storage. */
  agentId: z.uuid(),
  storages: z.array(
    z.object({
      name: z.string(),
      path: z.string(),
      /** Where the path led when the folder was taken. */
      realPath: z.string().optional(),
      markerId: z.uuid().optional(),
    }),
  ),
})
type Known = z.infer<typeof known>
type Entry = Known['storages'][number]

export async function openStorages({
  stateDir,
  otherDirs,
  hasOwnUsers,
  log,
  onFirstUse,
}: StoragesDeps): Promise<Storages> {
  const registry = await openRegistry(join(stateDir, 'storages.json'))
  const names = newTemporaryNames(registry.agentId)
  const locks = newLocks()
  const choose = newChooser({ ownDirs: [stateDir, ...otherDirs], hasOwnUsers, registry, names })
  const begun = new Map<string, Promise<void>>()
  const tell = newTeller(log)

  const begin = async (folder: Folder): Promise<void> => {
    const key = `${folder.name}:${folder.path}`
    const first = begun.get(key) ?? onFirstUse(folder)
    begun.set(key, first)
    try {
      await first
    } catch (error) {
      begun.delete(key)
      throw error
    }
  }

  const put = async ({ name, path }: DesiredStorage): Promise<ObservedStorage> => {
    const problem = await problemOf(path, () => choose({ name, path }))
    tell({ name, path }, problem)
    if (!problem) await begin({ name, path, names })
    const space = await measure(path)
    const shown = problem ?? objectionToSpace(space)
    return { name, ...space, ...(shown && { problem: shown }) }
  }

  const require = async (name: string): Promise<Folder> => {
    const folder = { name, path: await locate(registry, name), names }
    await begin(folder)
    return folder
  }

  const measureOne = newSpaceMeter(async (name) => measure(await locate(registry, name)))

  return {
    put: async (desired) => {
      if (!isAbsolute(desired.path)) throw new AgentError('BAD_REQUEST', 'The path of a storage must be absolute')
      return locks.with([desired.name], () => put({ name: desired.name, path: resolve(desired.path) }))
    },
    require,
    measure: () => Promise.all(usedIn(registry).map(measureOne)),
    survey: async (wanted) => {
      const all = wanted ? [...new Set(wanted)] : usedIn(registry)
      const results = await Promise.allSettled(all.map(require))
      return {
        usable: results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : [])),
        unusable: all.filter((_, index) => results[index]?.status === 'rejected'),
      }
    },
  }
}

/** Logs why a storage cannot be used, once: the controllers ask every few seconds. */
function newTeller(log: Log) {
  const told = new Map<string, string>()
  return ({ name, path }: DesiredStorage, problem: Problem | undefined) => {
    const what = problem && JSON.stringify([path, problem])
    if (what === undefined) told.delete(name)
    else if (told.get(name) !== what) {
      told.set(name, what)
      log.warn({ storage: name, path, problem }, 'a storage cannot be used')
    }
  }
}

/** The folder of a storage. Throws `STORAGE_UNAVAILABLE` while it cannot be used. */
async function locate(registry: Registry, name: string): Promise<string> {
  const entry = registry.get(name)
  if (entry?.markerId === undefined) {
    throw new AgentError('STORAGE_UNAVAILABLE', `DataStorage ${name} is not in use on this host yet`)
  }
  const { path } = entry
  const problem = await problemOf(path, async () => (await objectionToFolder(path)) ?? objectionToMarker(entry))
  if (problem) throw new AgentError('STORAGE_UNAVAILABLE', `DataStorage ${name} cannot be used: ${problem.message}`)
  return path
}

/** Names of the storages that were in use ever. */
function usedIn(registry: Registry): string[] {
  return registry.list().flatMap(({ name, markerId }) => (markerId === undefined ? [] : [name]))
}

interface Registry {
  readonly agentId: string
  list(): readonly Entry[]
  get(name: string): Entry | undefined
  /** Durable when it returns. */
  save(entry: Entry): Promise<void>
}

async function openRegistry(path: string): Promise<Registry> {
  let state = await load(path)
  const locks = newLocks()
  const get = (name: string) => state.storages.find((entry) => entry.name === name)
  return {
    agentId: state.agentId,
    list: () => state.storages,
    get,
    save: async (entry) => {
      if (JSON.stringify(get(entry.name)) === JSON.stringify(entry)) return
      // One after the other, for each replaces the whole file.
      await locks.with([path], async () => {
        const next = { ...state, storages: [...state.storages.filter(({ name }) => name !== entry.name), entry] }
        await writeDurably(path, JSON.stringify(next))
        state = next
      })
    },
  }
}

async function load(path: string): Promise<Known> {
  const text = await readIfThere(path)
  if (text === undefined) {
    const fresh: Known = { agentId: randomUUID(), storages: [] }
    await writeDurably(path, JSON.stringify(fresh))
    return fresh
  }
  try {
    return known.parse(JSON.parse(text))
  } catch (cause) {
    throw new Error(`${path} is damaged: restore it, or remove it and the storages are learned anew`, { cause })
  }
}

interface ChooserDeps {
  readonly ownDirs: readonly string[]
  readonly hasOwnUsers: boolean
  readonly registry: Registry
  readonly names: TemporaryNames
}

/** Takes folders for storages, where they may be taken. What it throws is understood by `problemOf`. */
function newChooser({ ownDirs, hasOwnUsers, registry, names }: ChooserDeps) {
  /** Folders that are being taken, by the storage's name: of two at once, one around the other, the later is refused. */
  const taking = new Map<string, readonly string[]>()

  return async ({ name, path }: DesiredStorage): Promise<Problem | undefined> => {
    const pathsOfOwn = await Promise.all(ownDirs.map(pathsOf))
    const own = pathsOfOwn.map((paths) => ({ of: 'the agent itself', paths }))
    const paths = await pathsOf(path)
    const contents = await objectionToContents(path)
    const others = [...foldersIn(registry), ...[...taking].map(([of, chosen]) => ({ of, paths: chosen }))]
      .filter(({ of }) => of !== name)
      .map((other) => ({ ...other, of: `DataStorage ${other.of}` }))
    const objection = objectionToChoice(paths, own, others) ?? contents
    if (objection) return objection
    taking.set(name, paths)
    try {
      const realPath = paths.at(-1) ?? path
      return await take({ name, path, realPath, hasOwnUsers }, registry, names)
    } finally {
      taking.delete(name)
    }
  }
}

/** The folders that have been taken, and by which storage. */
function foldersIn(registry: Registry): TakenFolder[] {
  return registry.list().flatMap(({ name, path, realPath = path, markerId }) => {
    return markerId === undefined ? [] : [{ of: name, paths: [path, realPath] }]
  })
}

/** Takes a folder for a storage. What throws is understood by `problemOf`. */
async function take(
  { name, path, realPath, hasOwnUsers }: DesiredStorage & { readonly realPath: string; readonly hasOwnUsers: boolean },
  registry: Registry,
  names: TemporaryNames,
): Promise<Problem | undefined> {
  const last = registry.get(name)
  const problem = last && (await objectionToMove(last, path))
  if (problem) return problem
  const entry: Entry = last?.path === path ? last : { name, path }
  // Also when it is missing: then everything that is asked of it can say so.
  await registry.save(entry)
  const objection =
    (await objectionToPlace(path, hasOwnUsers ? realPath : undefined)) ?? (await objectionToMarker(entry))
  const unfit = objection ?? (await objectionToWriting(path, names))
  if (unfit) return unfit
  const taken = await takeFolder(path, name, names)
  if ('code' in taken) return taken
  await registry.save({ name, path, realPath, markerId: taken.id })
  return undefined
}

/** `realPath` where guests are to reach it as users of their own. */
async function objectionToPlace(path: string, realPath: string | undefined): Promise<Problem | undefined> {
  return (await objectionToFolder(path)) ?? (realPath === undefined ? undefined : objectionToAccess(realPath))
}

/** A name stays with the folder that has its disks: under another path the same marker must be found. */
async function objectionToMove({ name, path: last, markerId }: Entry, path: string): Promise<Problem | undefined> {
  if (markerId === undefined || last === path) return undefined
  if (!(await problemOf(path, () => objectionToMarker({ name, path, markerId })))) return undefined
  const message = `The disks of this DataStorage are in ${last}: give the folder ${path} a DataStorage of its own`
  const objection: Problem = { code: 'NotOurs', message }
  // Of a folder that is not there nobody knows whether it is empty.
  const mayHoldDisks = await problemOf(last, async () => {
    const absence = (await objectionToFolder(last)) ?? (await objectionToMarker({ name, path: last, markerId }))
    return absence ?? ((await holdsData(last)) ? objection : undefined)
  })
  return mayHoldDisks && objection
}

/** Whether the folder is still the one that was marked, and not what a missing mount leaves to be seen. */
async function objectionToMarker({ path, markerId }: Entry): Promise<Problem | undefined> {
  if (markerId === undefined) return undefined
  const found = await readMarker(path)
  if (found !== undefined && found !== 'Unreadable' && found.id === markerId) return undefined
  return { code: 'NotOurs', message: `The folder ${path} is not the one that has the disks: mount what belongs there` }
}
