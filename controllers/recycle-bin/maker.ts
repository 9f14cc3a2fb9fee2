import * as z from 'zod'
import { Disk } from '../../crds/disk.ts'
import type { RecycledResource } from '../../crds/recycled-resource.ts'
import { makerOf } from '../../crds/virtual-machine.ts'

/** Identity of the machine that the Disk in an entry was made for, by the label that it had. */
export function makerIn({ spec }: RecycledResource): string | undefined {
  const { manifest } = spec.contents ?? spec.lastSeen ?? {}
  return spec.resource.kind === Disk.kind ? makerOf(labelled.safeParse(manifest).data?.metadata ?? {}) : undefined
}

const labelled = z.object({ metadata: z.object({ labels: z.record(z.string(), z.string()).optional() }) })
