import { fileIdOf, type Disk } from '../crds/disk.ts'
import { downloadOf, type Image } from '../crds/image.ts'
import type { RecycledResource } from '../crds/recycled-resource.ts'
import type { VirtualMachine } from '../crds/virtual-machine.ts'
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
