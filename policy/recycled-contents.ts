import { fileIdOf, type Disk } from '../crds/disk.ts'
import { downloadOf, type Image } from '../crds/image.ts'
import type { RecycledResource } from '../crds/recycled-resource.ts'
import { ownRootName, type VirtualMachine } from '../crds/virtual-machine.ts'
import { MAX_MANIFEST_BYTES, toRecycledManifest } from './recycled-manifest.ts'

export type Contents = NonNullable<RecycledResource['spec']['contents']>

/** What is needed to bring a disk back. One that was never made is made anew then. */
export function contentsOfDisk(disk: Disk): Contents {
  const { metadata, spec, status = {} } = disk
  const { name, uid } = metadata
  const manifest = { ...toRecycledManifest(disk, MAX_MANIFEST_BYTES) }
  const { host, dataStorage, size = spec.size } = status
  if (!mayHoldData(disk) || host === undefined || dataStorage === undefined) return { manifest }
  return { manifest, host, disks: [{ name, uid, id: fileIdOf(disk), dataStorage, size }] }
}

/** Whether a disk was made, or is to be one that was. */
export function mayHoldData({ metadata, status }: Disk): boolean {
  return status?.size !== undefined || (status?.id !== undefined && status.id !== metadata.uid)
}

export type HeldDisk = NonNullable<Contents['disks']>[number]

/** A disk in the entry of a machine, and its place where the machine is brought back. */
export interface DiskOfMachine {
  readonly held: HeldDisk
  /** Name of its Disk there. */
  readonly name: string
  readonly isRoot: boolean
}

/** Disks in the entry of a machine that is brought back under a name. The root disk is named after the machine. */
export function disksOfMachine({ spec }: Pick<RecycledResource, 'spec'>, machine: string): DiskOfMachine[] {
  const { resource, contents } = spec
  // One that boots from a Disk by its name has no root disk of its own, and may have another one of that name.
  const hasOwnRoot = fieldOf(fieldOf(fieldOf(contents?.manifest, 'spec'), 'rootDisk'), 'diskRef') === undefined
  return (contents?.disks ?? []).map((held) => {
    const isRoot = hasOwnRoot && held.name === ownRootName(resource.name)
    return { held, isRoot, name: isRoot ? ownRootName(machine) : held.name }
  })
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? new Map(Object.entries(value)).get(name) : undefined
}

/** Whether an entry is of a machine of that namespace that took a Disk of this name along. Its root disk is none of these. */
export function hasTakenAlong(entry: RecycledResource, namespace: string | undefined, disk: string): boolean {
  return takenAlong(entry).some(({ name }) => entry.spec.resource.namespace === namespace && name === disk)
}

/** Disks that a machine took along into its entry, but for its root disk. */
export function takenAlong(entry: Pick<RecycledResource, 'spec'>): HeldDisk[] {
  const { kind, name } = entry.spec.resource
  if (kind !== 'VirtualMachine') return []
  return disksOfMachine(entry, name).flatMap(({ held, isRoot }) => (isRoot ? [] : [held]))
}

/** What is needed to bring a machine back whose disks are kept by themselves, for it was not put away. */
export function contentsOfMachine(vm: VirtualMachine): Contents {
  const { machineId, host, decision, networks = [] } = vm.status ?? {}
  return {
    manifest: { ...toRecycledManifest(vm, MAX_MANIFEST_BYTES) },
    ...(machineId !== undefined && { machineId }),
    ...(host !== undefined && { host }),
    ...(decision && { decision: { id: decision.id, epoch: decision.epoch } }),
    addresses: networks.map(({ mac }) => ({ mac })),
  }
}

/** What is needed to bring an image back, with what hosts downloaded for it. */
export function contentsOfImage(image: Image): Contents {
  const manifest = { ...toRecycledManifest(image, MAX_MANIFEST_BYTES) }
  const sha256 = downloadOf(image)?.sha256
  return { manifest, ...(sha256 !== undefined && { download: { sha256, hosts: image.status?.downloadHosts ?? [] } }) }
}
