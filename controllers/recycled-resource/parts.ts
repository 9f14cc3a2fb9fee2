import * as z from 'zod'
import { LAST_APPLIED_ANNOTATION } from '../../crds/common.ts'
import type { RecycledResource } from '../../crds/recycled-resource.ts'
import { MACHINE_ID_LABEL } from '../../crds/virtual-machine.ts'
import { disksOfMachine, type Contents, type DiskOfMachine } from '../../policy/recycled-contents.ts'
import type { Found, Manifest, Place } from './scope.ts'

/** One object that stands for what an entry holds. */
export interface Part {
  readonly place: Place
  readonly manifest: Manifest
  /** Whether it is what it was. */
  readonly isItself: (found: Found) => boolean
}

type Target = Pick<Place, 'namespace' | 'name'>

/** What an entry is brought back as, in this order: the object itself comes last. */
export function partsOf(entry: RecycledResource, { namespace, name }: Target): Part[] {
  const { resource, contents } = entry.spec
  if (!contents) return []
  const { kind } = resource
  const { machineId, disks: [held] = [] } = contents
  const isSamePlace = namespace === resource.namespace && name === resource.name
  const manifest = isSamePlace ? stored.parse(contents.manifest) : elsewhere(stored.parse(contents.manifest))
  const place: Place = { kind, namespace, name }
  if (kind === 'Image') return [{ place, manifest, isItself: (found) => hasDownload(found, contents) }]
  if (kind === 'Disk') {
    const isItself = ({ status }: Found) => isKnown(status?.id, held?.id)
    return [{ place, manifest: withLabel(manifest, undefined), isItself }]
  }
  const disks = disksOfMachine(entry, name).flatMap((one) => diskPart(one, entry, namespace))
  const isItself = ({ status }: Found) => isKnown(status?.machineId, machineId)
  return [...disks, { place, manifest: withGuest(manifest, contents), isItself }]
}

function diskPart({ held, name, isRoot }: DiskOfMachine, { spec }: RecycledResource, namespace: string): Part[] {
  if (!held.manifest) return []
  const { resource, contents } = spec
  const before = stored.parse(held.manifest)
  const isSamePlace = namespace === resource.namespace && name === held.name
  return [
    {
      place: { kind: 'Disk', namespace, name },
      manifest: withLabel(isSamePlace ? before : elsewhere(before), isRoot ? contents?.machineId : undefined),
      isItself: ({ status }) => status?.id === held.id,
    },
  ]
}

/** A machine that was not put away, and so has no disks in its entry, may have its guest on its host: it is to be that one. */
function withGuest(manifest: Manifest, { machineId, disks }: Contents): Manifest {
  if (machineId === undefined || disks) return manifest
  return { ...manifest, spec: { ...manifest.spec, adopt: { machineId } } }
}

/** One that had no identity is itself once it has one: until then it asks its entry. */
function isKnown(id: string | undefined, before: string | undefined): boolean {
  return before === undefined ? id !== undefined : id === before
}

/** Until then what hosts have is the entry's: without that, nobody would know. Another file is what its manifest asks for. */
function hasDownload({ spec, status }: Found, { download }: Contents): boolean {
  if (!download || spec?.['checksum'] !== `sha256:${download.sha256}`) return true
  const { downloadHosts } = status ?? {}
  return downloadHosts !== undefined && download.hosts.every((host) => downloadHosts.includes(host))
}

/** What kubectl applied last was for another place. */
function elsewhere({ metadata, spec }: Manifest): Manifest {
  const { [LAST_APPLIED_ANNOTATION]: _, ...annotations } = metadata.annotations ?? {}
  return { metadata: { ...metadata, annotations }, spec }
}

/** The label that names the machine which a disk was made for. Without that machine, any may have the disk. */
function withLabel(manifest: Manifest, machineId: string | undefined): Manifest {
  const { [MACHINE_ID_LABEL]: _, ...others } = manifest.metadata.labels ?? {}
  const labels = { ...others, ...(machineId !== undefined && { [MACHINE_ID_LABEL]: machineId }) }
  return { ...manifest, metadata: { ...manifest.metadata, labels } }
}

const texts = z.record(z.string(), z.string()).optional()
/** An object in an entry, as it was applied. Of one that nobody saw there is nothing: a manifest alone makes that anew. */
export const stored = z.object({
  metadata: z.object({ labels: texts, annotations: texts }).default({}),
  spec: z.record(z.string(), z.unknown()).default({}),
})
