import type { Kube } from '../lib/kube/client.ts'

const writing = new Set(['POST', 'PUT', 'PATCH', 'APPLY', 'DELETE'])

/** Requests that write, by verb and resource, since the API server started; those that changed nothing count too. */
export async function countWrites(kube: Kube): Promise<Map<string, number>> {
  const { body } = await kube.send<string>({ method: 'GET', path: '/metrics' })
  const counts = new Map<string, number>()
  for (const [, labels = '', value = ''] of body.matchAll(/^apiserver_request_total\{(.*)\} (\S+)$/gm)) {
    const label = new Map([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = '', text = '']) => [name, text]))
    const [verb = '', resource = '', subresource = ''] = ['verb', 'resource', 'subresource'].map((name) =>
      label.get(name),
    )
    if (!writing.has(verb)) continue
    const key = `${verb} ${resource}${subresource === '' ? '' : `/${subresource}`}`
    counts.set(key, (counts.get(key) ?? 0) + Number(value))
  }
  return counts
}

/** How much each count grew. */
export function growth(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): Map<string, number> {
  const grown = [...after].map(([key, value]) => [key, value - (before.get(key) ?? 0)] as const)
  return new Map(grown.filter(([, value]) => value > 0))
}
