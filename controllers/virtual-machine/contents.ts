import { fileIdOf, type Disk } from '../../crds/disk.ts'
import { contentsOfMachine, type Contents } from '../../policy/recycled-contents.ts'
import { MAX_DISK_MANIFEST_BYTES, toRecycledManifest } from '../../policy/recycled-manifest.ts'
import type { Scope } from './scope.ts'

/** What is needed to bring a machine back as it was, with those of its disks that go with it. */
export function toContents({ vm, status }: Scope, disks: readonly Disk[]): Contents {
  return { ...contentsOfMachine({ ...vm, status }), disks: disks.flatMap(toEntry) }
}

/** Nothing for a disk that was never made: nothing is in it. */
function toEntry(disk: Disk): NonNullable<Contents['disks']> {
  const { metadata, status } = disk
  if (status?.size === undefined || status.dataStorage === undefined) return []
  const manifest = { ...toRecycledManifest(disk, MAX_DISK_MANIFEST_BYTES) }
  const { name, uid } = metadata
  return [{ name, uid, id: fileIdOf(disk), dataStorage: status.dataStorage, size: status.size, manifest }]
}
