import type { Kube } from '../lib/kube/client.ts'
import { countsOf } from './prometheus.ts'

const writing = /^(POST|PUT|PATCH|APPLY|DELETE) /

/** Requests that write, by verb and resource, since the API server started; those that changed nothing count too. */
export async function countWrites(kube: Kube): Promise<Map<string, number>> {
  const { body } = await kube.send<string>({ method: 'GET', path: '/metrics' })
  const counts = countsOf(body, 'apiserver_request_total', ['verb', 'resource', 'subresource'])
  return new Map(
    [...counts].flatMap(([key, count]) => {
      if (!writing.test(key)) return []
      const [verb, resource, subresource = ''] = key.split(' ')
      return [[`${verb} ${resource}${subresource === '' ? '' : `/${subresource}`}`, count] as const]
    }),
  )
}
