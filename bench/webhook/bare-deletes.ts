import { randomUUID } from 'node:crypto'
import { RecycledResource } from '../../crds/recycled-resource.ts'
import type { Kube } from '../../lib/kube/client.ts'
import { isKubeError } from '../../lib/kube/errors.ts'
import { collectionPath, objectPath, type Endpoint } from '../../lib/kube/paths.ts'
import { inParallel } from '../scale/machines.ts'
import type { Sample } from './load.ts'

const CONFIG_MAPS: Endpoint = { group: '', version: 'v1', plural: 'configmaps', scope: 'Namespaced' }
const NAMESPACE = 'holdfast-system'
const DAY_MS = 24 * 3_600_000

/** Sends the calls to the API server that admission sends for a delete, one after the other, and thinks of nothing. */
export async function bareDeletes(kube: Kube, { count, lanes }: { count: number; lanes: number }): Promise<Sample> {
  const latenciesMs: number[] = []
  const startedAt = performance.now()
  await inParallel(count, lanes, async () => {
    const sentAt = performance.now()
    await bareDelete(kube, randomUUID())
    latenciesMs.push(performance.now() - sentAt)
  })
  return { latenciesMs, refused: 0, seconds: (performance.now() - startedAt) / 1000 }
}

async function bareDelete(kube: Kube, uid: string): Promise<void> {
  const at = new Date()
  const brake = `brake-${uid}`
  const data = { person: uid, kind: 'VirtualMachine', state: JSON.stringify({ deletes: [{ uid, at }] }) }
  await look(kube, objectPath(CONFIG_MAPS, { namespace: NAMESPACE, name: brake }))
  await kube.send({
    method: 'POST',
    path: collectionPath(CONFIG_MAPS, NAMESPACE),
    body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: brake }, data },
  })
  await look(kube, objectPath(RecycledResource, { name: uid }))
  await kube.send({ method: 'POST', path: collectionPath(RecycledResource), body: toEntry(uid, at) })
}

/** Looks for what is not there yet. */
async function look(kube: Kube, path: string): Promise<void> {
  try {
    await kube.send({ method: 'GET', path })
  } catch (error) {
    if (!isKubeError(error, 'NotFound')) throw error
  }
}

function toEntry(uid: string, at: Date): object {
  const purgeAt = new Date(at.getTime() + DAY_MS)
  return {
    apiVersion: `${RecycledResource.group}/${RecycledResource.version}`,
    kind: RecycledResource.kind,
    metadata: { name: uid },
    spec: {
      resource: {
        apiVersion: 'compute.holdfast.dev/v1alpha1',
        kind: 'VirtualMachine',
        namespace: 'default',
        name: 'bare',
        uid,
      },
      deletion: { by: uid, at, policy: 'Delayed', retention: '1d', purgeAt },
    },
  }
}
