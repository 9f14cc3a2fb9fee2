import { Disk } from '../crds/disk.ts'
import { brakedKinds } from '../crds/index.ts'
import type { RecycledResource } from '../crds/recycled-resource.ts'
import { VirtualMachine } from '../crds/virtual-machine.ts'
import type { Metrics, Point } from '../lib/metrics/metrics.ts'
import { heldBrakes } from '../policy/brake.ts'
import { defaultDeletion } from '../policy/deletion.ts'
import { toBytes } from '../policy/quantity.ts'
import type { Caches } from './cluster/caches.ts'

/** Kinds whose entries hold disks. */
const WITH_DISKS = [VirtualMachine, Disk].map(({ kind }) => kind)

/**
 * Of what is deleted: the recycle bin, and brakes. Brakes are counted by kind and not by person, for there are as many
 * persons as somebody can log in as, and a person's name is nobody's business who only reads metrics.
 */
export function describeBin(metrics: Metrics): (caches: Caches, now: Date) => void {
  const entries = metrics.sampledGauge({
    name: 'holdfast_recycled_resources',
    help: 'Entries of the recycle bin, by the kind of what was deleted, and by phase.',
    labels: ['kind', 'phase'],
  })
  const bytes = metrics.sampledGauge({
    name: 'holdfast_recycled_bytes',
    help: 'Sizes of the disks in the recycle bin, by the kind of what was deleted. A disk takes at most its size, and mostly less; files of Images are not in it.',
    labels: ['kind'],
  })
  const brakes = metrics.sampledGauge({
    name: 'holdfast_delete_brakes',
    help: 'Mass-delete brakes that hold, by kind. Whom they hold back is in the status of PlatformSettings.',
    labels: ['kind'],
  })
  return (caches, now) => {
    const { recycled, brakes: records, platformSettings } = caches
    if (recycled.isSynced) {
      const all = recycled.list()
      entries.replace(countEntries(all))
      bytes.replace(WITH_DISKS.map((kind) => [{ kind }, sizeOf(all.filter(({ spec }) => spec.resource.kind === kind))]))
    }
    if (!records.isSynced || !platformSettings.isSynced) return
    const settings = platformSettings.get('default')?.spec.deletion ?? defaultDeletion
    const held = heldBrakes(records.list(), settings, now)
    brakes.replace(brakedKinds.map(({ kind }) => [{ kind }, held.filter((brake) => brake.kind === kind).length]))
  }
}

function countEntries(entries: readonly RecycledResource[]): Point<'kind' | 'phase'>[] {
  const counts = new Map<string, { kind: string; phase: string; count: number }>()
  for (const { spec, status } of entries) {
    const { kind } = spec.resource
    const phase = status?.phase ?? 'Pending'
    const key = `${kind}/${phase}`
    counts.set(key, { kind, phase, count: (counts.get(key)?.count ?? 0) + 1 })
  }
  return [...counts.values()].map(({ kind, phase, count }) => [{ kind, phase }, count])
}

function sizeOf(entries: readonly RecycledResource[]): number {
  const disks = entries.flatMap(({ spec }) => spec.contents?.disks ?? [])
  return disks.reduce((sum, { size }) => sum + toBytes(size), 0)
}
