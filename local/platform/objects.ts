import { setTimeout as sleep } from 'node:timers/promises'
import { DataStorage } from '../../crds/data-storage.ts'
import { Host } from '../../crds/host.ts'
import type { Resource } from '../../crds/kind.ts'
import type { Kube } from '../../lib/kube/client.ts'
import { isKubeError } from '../../lib/kube/errors.ts'
import { collectionPath, objectPath, type Endpoint } from '../../lib/kube/paths.ts'
import { LocalError } from '../errors.ts'
import { kubectl, type Kubectl } from '../kubectl.ts'
import { HOST } from './agent.ts'
import type { LocalHosts } from './hosts.ts'
import { samplePath } from './install.ts'
import { FIRST_SIMULATED, nameOf, numberOf } from './simulated-hosts.ts'

const NAMESPACES: Endpoint = { group: '', version: 'v1', plural: 'namespaces', scope: 'Cluster' }
/** Name of the DataStorage of this machine. */
export const STORAGE = 'local'
const MANAGER = 'holdfast-local'
const NAMESPACE_TIMEOUT_MS = 120_000
const POLL_MS = 50

/**
 * Makes hosts known, each with a data storage. The first time it also makes the samples, to have something to look at;
 * who deletes them has them no more.
 */
export async function makeObjects(cluster: Kubectl, kube: Kube, hosts: LocalHosts): Promise<void> {
  if (!(await exists(kube, Host, hosts.name))) {
    await untilExists(kube, NAMESPACES, 'default')
    const samples = hosts.samples.flatMap((name) => ['--filename', samplePath(name)])
    await kubectl(cluster, ['apply', ...samples])
  }
  // The host comes last: a start that is interrupted before is the first one again.
  const list = { apiVersion: 'v1', kind: 'List', items: hosts.manifests }
  const how = ['apply', '--server-side', '--force-conflicts', '--field-manager', MANAGER, '--filename', '-']
  await kubectl(cluster, how, JSON.stringify(list))
}

/** The hosts that a platform is to have: this machine with the folder of its DataStorage, or so many simulated ones. */
export type WantedHosts = { readonly storage: string } | { readonly simulated: number }

const OTHER = 'or set HOLDFAST_HOME to another folder'

/**
 * Throws when the cluster has hosts of a local platform of another kind, of another machine with the same names, or more
 * simulated ones than are wanted.
 */
export async function refuseOtherPlatform(kube: Kube, wanted: WantedHosts): Promise<void> {
  const names = await hostNames(kube)
  if ('simulated' in wanted) return refuseFewer(names, wanted.simulated)
  if (names.includes(FIRST_SIMULATED)) {
    throw unfit(`this platform has simulated hosts: start it with --simulated-hosts NUMBER, ${OTHER}`)
  }
  await refuseAnotherMachine(kube, wanted.storage)
}

/** The hosts beyond the wanted ones would never answer again, and nobody could tell what became of their machines. */
function refuseFewer(names: readonly string[], wanted: number): void {
  if (names.includes(HOST)) {
    throw unfit(`this platform has the real host ${HOST}: start it without --simulated-hosts, ${OTHER}`)
  }
  const before = Math.max(0, ...names.map(numberOf))
  if (wanted >= before) return
  throw unfit(
    `this platform has simulated hosts up to ${nameOf(before)}, and with ${wanted} those beyond would never answer ` +
      `again: start it with --simulated-hosts ${before} or more; or delete their DataStorages and then those Hosts, while it runs with them; ` +
      OTHER,
  )
}

/** None, too, where the cluster does not know Hosts yet. */
async function hostNames(kube: Kube): Promise<string[]> {
  try {
    const { body } = await kube.send<{ items: Resource[] }>({ method: 'GET', path: collectionPath(Host) })
    return body.items.map(({ metadata }) => metadata.name)
  } catch (error) {
    if (isKubeError(error, 'NotFound')) return []
    throw error
  }
}

/** Another machine that joined this cluster has our names: what it made must not be turned to here. */
async function refuseAnotherMachine(kube: Kube, storage: string): Promise<void> {
  const path = objectPath(DataStorage, { name: STORAGE })
  const found = await kube.send<DataStorage>({ method: 'GET', path }).catch((error: unknown) => {
    if (isKubeError(error, 'NotFound')) return undefined
    throw error
  })
  if (found === undefined || found.body.spec.local.path === storage) return
  const whose = `its DataStorage ${STORAGE} is the folder ${found.body.spec.local.path}`
  throw unfit(
    `this cluster belongs to another local platform already (${whose}): start that one, or use another cluster`,
  )
}

function unfit(message: string): LocalError {
  return new LocalError('CLUSTER_UNFIT', message)
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
