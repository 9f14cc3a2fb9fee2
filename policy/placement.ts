import type { PlatformSettings } from '../crds/platform-settings.ts'
import { toText } from './quantity.ts'

export type PlacementSettings = PlatformSettings['spec']['placement']

/** What holds where nobody made a PlatformSettings. The same as the defaults of its schema. */
export const defaultPlacement: PlacementSettings = {
  cpuOvercommitPercent: 1000,
  memoryOvercommitPercent: 100,
  reservedMemoryMi: 1024,
  storageOvercommitPercent: 200,
}

/** A host, with what is placed on it already. */
export interface HostCandidate {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  /** Why it takes no machines now, as the end of a sentence that starts with its name. */
  readonly obstacle?: string
  readonly cpus: number
  readonly memoryBytes: number
  readonly placed: { readonly cpus: number; readonly memoryBytes: number }
}

/** A data storage, with the sum of the sizes of the disks on it. */
export interface StorageCandidate {
  readonly name: string
  readonly host: string
  readonly obstacle?: string
  readonly capacityBytes: number
  readonly availableBytes: number
  readonly provisionedBytes: number
}

export interface PlacementRequest {
  readonly cpus: number
  readonly memoryBytes: number
  readonly host?: string
  readonly hostSelector: Readonly<Record<string, string>>
  /** Hosts that reach everything that exists already: its disks and its image. Without it, any. */
  readonly reachableFrom?: readonly string[]
  /** A disk to be made, and the storage that was asked for it. */
  readonly newDisk?: { readonly sizeBytes: number; readonly dataStorage?: string }
}

export type Placement =
  | { readonly fits: true; readonly host: string; readonly dataStorage?: string }
  | { readonly fits: false; readonly message: string }

const MAX_REASONS = 5

/** Chooses the host with the most memory left, and its storage with the most space left; else says why none fits. */
export function place(
  request: PlacementRequest,
  hosts: readonly HostCandidate[],
  storages: readonly StorageCandidate[],
  settings: PlacementSettings,
): Placement {
  const missing = whatIsMissing(request, hosts, storages)
  if (missing !== undefined) return { fits: false, message: missing }
  const objections: string[] = []
  const byHost = Map.groupBy(storages, ({ host }) => host)
  let best: Fitting | undefined
  // Where something can be done about it comes first: a host that is away may need nothing but to come back.
  const usableFirst = hosts.toSorted((a, b) => Number(a.obstacle !== undefined) - Number(b.obstacle !== undefined))
  for (const host of usableFirst) {
    const fit = fitOn(host, byHost.get(host.name) ?? [], request, settings)
    if ('objection' in fit) objections.push(`${host.name} ${fit.objection}`)
    else if (best === undefined || isBetter(fit, best)) best = fit
  }
  if (!best) return { fits: false, message: explain(objections) }
  return { fits: true, host: best.host, ...(best.dataStorage !== undefined && { dataStorage: best.dataStorage }) }
}

interface Fitting {
  readonly host: string
  readonly dataStorage?: string
  readonly leftBytes: number
}

function fitOn(
  host: HostCandidate,
  storages: readonly StorageCandidate[],
  request: PlacementRequest,
  settings: PlacementSettings,
): Fitting | { objection: string } {
  const objection = objectionOf(host, request, settings)
  if (objection !== undefined) return { objection }
  const fitting = { host: host.name, leftBytes: memoryLeft(host, settings) }
  if (!request.newDisk) return fitting
  const storage = pickStorage(storages, request.newDisk, settings)
  return 'objection' in storage ? storage : { ...fitting, ...storage }
}

/** Of two with as much room the name decides, so that it is the same one each time. */
function isBetter(a: Fitting, than: Fitting): boolean {
  return a.leftBytes > than.leftBytes || (a.leftBytes === than.leftBytes && a.host < than.host)
}

/** What the machine names and there is not, or undefined. */
function whatIsMissing(
  { host, newDisk }: PlacementRequest,
  hosts: readonly HostCandidate[],
  storages: readonly StorageCandidate[],
): string | undefined {
  if (hosts.length === 0) return 'There is no Host: add one with an agent'
  if (host !== undefined && hosts.every(({ name }) => name !== host)) {
    return `There is no Host ${host}: correct spec.placement.host, or add it`
  }
  const storage = newDisk?.dataStorage
  if (storage === undefined || storages.some(({ name }) => name === storage)) return undefined
  return `There is no DataStorage ${storage}: create it, or name another one`
}

function explain(objections: readonly string[]): string {
  const shown = objections.slice(0, MAX_REASONS).join('; ')
  const rest = objections.length - MAX_REASONS
  // Less helps only where something was too much.
  const next = /\bare asked\b/.test(shown)
    ? 'ask for less, make room, or add a Host'
    : 'mend what is said of one, or add a Host'
  return `No host fits: ${shown}${rest > 0 ? `; and ${rest} more` : ''}: ${next}`
}

/** Why the host itself does not fit, as the end of a sentence that starts with its name. */
function objectionOf(host: HostCandidate, request: PlacementRequest, settings: PlacementSettings): string | undefined {
  if (request.host !== undefined && request.host !== host.name) return 'is not the one in spec.placement.host'
  const label = Object.entries(request.hostSelector).find(([key, value]) => host.labels[key] !== value)
  if (label) return `lacks the label ${label[0]}=${label[1]} of spec.placement.hostSelector`
  if (host.obstacle !== undefined) return host.obstacle
  if (request.reachableFrom?.includes(host.name) === false) return 'does not reach its disks and image'
  return roomObjection(host, request, settings)
}

/** Why a host has no room for a machine that can be nowhere else, as the end of a sentence that starts with its name. */
export function roomObjection(host: HostCandidate, request: Capacity, settings: PlacementSettings): string | undefined {
  return host.obstacle ?? capacityObjection(host, request, settings)
}

type Capacity = Pick<PlacementRequest, 'cpus' | 'memoryBytes'>

function capacityObjection(host: HostCandidate, request: Capacity, settings: PlacementSettings) {
  if (request.cpus > host.cpus) return `has ${host.cpus} CPUs, ${request.cpus} are asked`
  const cpusLeft = Math.floor((host.cpus * settings.cpuOvercommitPercent) / 100) - host.placed.cpus
  if (request.cpus > cpusLeft)
    return `has room for ${Math.max(0, cpusLeft)} more virtual CPUs, ${request.cpus} are asked`
  const left = memoryLeft(host, settings)
  if (request.memoryBytes > left)
    return `has ${toText(Math.max(0, left))} of memory left, ${toText(request.memoryBytes)} are asked`
  return undefined
}

function memoryLeft(host: HostCandidate, settings: PlacementSettings): number {
  const reserved = Math.min(settings.reservedMemoryMi * 2 ** 20, host.memoryBytes / 4)
  return Math.floor(((host.memoryBytes - reserved) * settings.memoryOvercommitPercent) / 100) - host.placed.memoryBytes
}

/** Of the storages of a host the one with the most space left for a new disk, or why there is none, as the end of a sentence. */
export function pickStorage(
  storages: readonly StorageCandidate[],
  { sizeBytes, dataStorage }: NonNullable<PlacementRequest['newDisk']>,
  settings: PlacementSettings,
): { dataStorage: string } | { objection: string } {
  const reached = dataStorage === undefined ? storages : storages.filter(({ name }) => name === dataStorage)
  if (reached.length === 0)
    return { objection: dataStorage === undefined ? 'has no DataStorage' : `does not reach DataStorage ${dataStorage}` }
  const best = pickRoomiest(reached, sizeBytes, settings)
  if (best) return { dataStorage: best.name }
  return {
    objection: `has no room: ${reached.map((storage) => storageObjection(storage, sizeBytes, settings)).join(', ')}`,
  }
}

/** The usable storage with the most space left for disks, or none. */
export function pickRoomiest<S extends StorageCandidate>(
  storages: readonly S[],
  sizeBytes: number,
  settings: PlacementSettings,
): S | undefined {
  const usable = storages.filter((storage) => storageObjection(storage, sizeBytes, settings) === undefined)
  return usable.toSorted(
    (a, b) => storageLeft(b, settings) - storageLeft(a, settings) || a.name.localeCompare(b.name),
  )[0]
}

/** Why a disk of that size cannot be put there, or undefined when it can. */
export function storageObjection(
  storage: StorageCandidate,
  sizeBytes: number,
  settings: PlacementSettings,
): string | undefined {
  if (storage.obstacle !== undefined) return `DataStorage ${storage.name} ${storage.obstacle}`
  const left = storageLeft(storage, settings)
  if (sizeBytes <= left) return undefined
  return `DataStorage ${storage.name} has room for ${toText(Math.max(0, left))} of disks, ${toText(sizeBytes)} are asked`
}

function storageLeft(storage: StorageCandidate, settings: PlacementSettings): number {
  return Math.floor((storage.capacityBytes * settings.storageOvercommitPercent) / 100) - storage.provisionedBytes
}
