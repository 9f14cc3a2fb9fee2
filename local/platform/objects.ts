import { setTimeout as sleep } from 'node:timers/promises'
import { DataStorage } from '../../crds/data-storage.ts'
import { Host } from '../../crds/host.ts'
import type { Kube } from '../../lib/kube/client.ts'
import { isKubeError } from '../../lib/kube/errors.ts'
import { objectPath, type Endpoint } from '../../lib/kube/paths.ts'
import { LocalError } from '../errors.ts'
import { kubectl, type Kubectl } from '../kubectl.ts'
import { HOST, hostManifest } from './agent.ts'
import { samplePath } from './install.ts'

const NAMESPACES: Endpoint = { group: '', version: 'v1', plural: 'namespaces', scope: 'Cluster' }
const STORAGE = 'local'
const MANAGER = 'holdfast-local'
const NAMESPACE_TIMEOUT_MS = 30_000
const POLL_MS = 50

export interface LocalObjects {
  readonly agentPort: number
  /** Folder of the data storage. */
  readonly storage: string
}

/**
 * Makes this machine known as a host with a data storage. The first time it also makes an image and a machine, to have
 * something to look at; who deletes them has them no more.
 */
export async function makeObjects(cluster: Kubectl, kube: Kube, objects: LocalObjects): Promise<void> {
  await refuseAnotherMachine(kube, objects)
  const isFirst = !(await exists(kube, Host, HOST))
  if (isFirst) {
    await untilExists(kube, NAMESPACES, 'default')
    const samples = ['image.yaml', 'virtual-machine.yaml'].flatMap((name) => ['--filename', samplePath(name)])
    await kubectl(cluster, ['apply', ...samples])
  }
  // The host comes last: a start that is interrupted before is the first one again.
  const list = {
    apiVersion: 'v1',
    kind: 'List',
    items: [storageManifest(objects.storage), hostManifest(objects.agentPort)],
  }
  const how = ['apply', '--server-side', '--force-conflicts', '--field-manager', MANAGER, '--filename', '-']
  await kubectl(cluster, how, JSON.stringify(list))
}

/** Another machine that joined this cluster has our names: what it made must not be turned to here. */
async function refuseAnotherMachine(kube: Kube, { storage }: LocalObjects): Promise<void> {
  const path = objectPath(DataStorage, { name: STORAGE })
  const found = await kube.send<DataStorage>({ method: 'GET', path }).catch((error: unknown) => {
    if (isKubeError(error, 'NotFound')) return undefined
    throw error
  })
  if (found === undefined || found.body.spec.local.path === storage) return
  const whose = `its DataStorage ${STORAGE} is the folder ${found.body.spec.local.path}`
  const message = `this cluster belongs to another local platform already (${whose}): start that one, or use another cluster`
  throw new LocalError('CLUSTER_UNFIT', message)
}

function storageManifest(path: string): object {
  const spec = { type: 'Local', local: { host: HOST, path } }
  return { apiVersion: 'storage.holdfast.dev/v1alpha1', kind: 'DataStorage', metadata: { name: STORAGE }, spec }
}

// The API server makes the namespace itself, a moment after it is ready.
async function untilExists(kube: Kube, kind: Endpoint, name: string): Promise<void> {
  const deadline = performance.now() + NAMESPACE_TIMEOUT_MS
  while (!(await exists(kube, kind, name))) {
    if (performance.now() > deadline) throw new Error(`there is no ${kind.plural}/${name}`)
    await sleep(POLL_MS)
  }
}

async function exists(kube: Kube, kind: Endpoint, name: string): Promise<boolean> {
  try {
    await kube.send({ method: 'GET', path: objectPath(kind, { name }) })
    return true
  } catch (error) {
    if (isKubeError(error, 'NotFound')) return false
    throw error
  }
}
