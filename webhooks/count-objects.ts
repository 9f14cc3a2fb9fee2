import * as z from 'zod'
import { kinds } from '../crds/index.ts'
import type { Kube } from '../lib/kube/client.ts'
import { collectionPath } from '../lib/kube/paths.ts'

const page = z.object({
  items: z.array(z.unknown()),
  metadata: z.object({ remainingItemCount: z.number().optional() }).optional(),
})

/**
 * How many objects of a kind of ours there are, by what the API server has stored: of the last ones a watch may not have
 * told yet. 0 for a kind that is none of ours. Throws where that cannot be read.
 */
export async function countObjects(
  kube: Pick<Kube, 'send'>,
  { group, plural }: { readonly group: string; readonly plural: string },
): Promise<number> {
  const kind = kinds.find((one) => one.group === group && one.plural === plural)
  if (!kind) return 0
  const { body } = await kube.send({ method: 'GET', path: collectionPath(kind), query: { limit: 1 } })
  const { items, metadata } = page.parse(body)
  return items.length + (metadata?.remainingItemCount ?? 0)
}
