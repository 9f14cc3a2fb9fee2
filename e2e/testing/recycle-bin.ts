import * as z from 'zod'
import { RecycledResource } from '../../crds/recycled-resource.ts'
import { objectPath } from '../../lib/kube/paths.ts'
import { condition, eventually, type Found, type Platform } from './platform.ts'

const spec = z.object({
  resource: z.object({ kind: z.string(), namespace: z.string(), name: z.string(), uid: z.string() }),
  deletion: z.object({ by: z.string(), at: z.string(), policy: z.string(), purgeAt: z.string().optional() }),
  contents: z
    .object({
      machineId: z.string().optional(),
      host: z.string().optional(),
      disks: z.array(z.object({ name: z.string(), id: z.string() })).default([]),
      download: z.object({ sha256: z.string(), hosts: z.array(z.string()) }).optional(),
    })
    .optional(),
})

/** An entry of the recycle bin. */
export type Entry = z.infer<typeof spec> & {
  /** Of the entry, which is the uid of what was deleted. */
  readonly name: string
  readonly phase: string
  /** Whether nothing is under way with it. */
  readonly isSettled: boolean
}

/** The whole bin, or what was deleted in one namespace. */
export async function entries(platform: Platform, namespace?: string): Promise<Entry[]> {
  const query = namespace === undefined ? {} : { fieldSelector: `spec.resource.namespace=${namespace}` }
  return (await platform.list('recycledresources', undefined, query)).map(toEntry)
}

function toEntry(found: Found): Entry {
  const phase = z.string().default('Pending').parse(found.status?.['phase'])
  const isSettled = phase === 'Binned' && condition(found)?.status === 'True'
  return { name: found.metadata.name, phase, isSettled, ...spec.parse(found['spec']) }
}

/** The newest entry of that kind and name, once it can be brought back. */
export async function binned(platform: Platform, kind: string, name: string, namespace = 'default'): Promise<Entry> {
  return eventually(async () => {
    const found = (await entries(platform, namespace)).filter(
      ({ resource }) => resource.kind === kind && resource.name === name,
    )
    const newest = found.toSorted((a, b) => b.deletion.at.localeCompare(a.deletion.at))[0]
    return newest?.isSettled === true && newest
  })
}

/** Asks for something to be done with an entry. Throws KubeError. */
export async function act(platform: Platform, { name }: Entry, wanted: object): Promise<void> {
  await platform.send({
    method: 'PATCH',
    path: objectPath(RecycledResource, { name }),
    contentType: 'application/merge-patch+json',
    body: { spec: wanted },
  })
}
