import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { LocalError } from '../errors.ts'
import { kubectl, type Kubectl } from '../kubectl.ts'

const CONFIG = join(import.meta.dirname, '..', '..', 'config')
const MANAGER = 'holdfast'
const SERVED_TIMEOUT = '--timeout=30s'
const POLICIES_TIMEOUT_MS = 60_000
const POLL_MS = 200

/**
 * Teaches a cluster our kinds, permissions and admission policies, and waits until it serves them. Changes nothing
 * that is there already. Where the cluster has no mutating policies, controllers set finalizers with one more write.
 */
export async function installManifests(cluster: Kubectl): Promise<void> {
  await apply(cluster, 'crd', 'rbac')
  await kubectl(cluster, ['wait', '--for=condition=Established', SERVED_TIMEOUT, '--filename', join(CONFIG, 'crd')])
  const served = await kubectl(cluster, ['api-resources', '--api-group=admissionregistration.k8s.io', '--output=name'])
  if (!served.includes('mutatingadmissionpolicies')) return
  await apply(cluster, 'admission')
  await untilPoliciesWork(cluster)
}

/** Path of a sample, or of the folder of all. */
export function samplePath(name = ''): string {
  return join(CONFIG, 'samples', name)
}

async function apply(cluster: Kubectl, ...folders: readonly string[]): Promise<void> {
  const files = folders.flatMap((folder) => ['--filename', join(CONFIG, folder)])
  await kubectl(cluster, ['apply', '--server-side', '--force-conflicts', '--field-manager', MANAGER, ...files])
}

const metadata = { generateName: 'probe-', namespace: 'default' }
const probes = {
  apiVersion: 'v1',
  kind: 'List',
  items: [
    { apiVersion: 'storage.holdfast.dev/v1alpha1', kind: 'Disk', metadata, spec: { size: '1Gi' } },
    {
      apiVersion: 'compute.holdfast.dev/v1alpha1',
      kind: 'VirtualMachine',
      metadata,
      spec: { memory: '1Gi', rootDisk: { imageRef: { name: 'probe' } } },
    },
  ],
}

// For some seconds after a policy is made, the API server refuses what it is for, or lets it pass without it.
async function untilPoliciesWork(cluster: Kubectl): Promise<void> {
  const deadline = performance.now() + POLICIES_TIMEOUT_MS
  for (;;) {
    const answer = await tryProbes(cluster)
    if (answer.finalizers === probes.items.length) return
    if (performance.now() > deadline) {
      throw new LocalError(
        'NOT_READY',
        `the admission policies do not work: ${answer.refusal ?? 'they set no finalizer'}`,
      )
    }
    await sleep(POLL_MS)
  }
}

async function tryProbes(cluster: Kubectl): Promise<{ finalizers: number; refusal?: string }> {
  const output = '--output=jsonpath={.metadata.finalizers}{"\\n"}' // Once for each object.
  try {
    const text = await kubectl(
      cluster,
      ['create', '--dry-run=server', output, '--filename', '-'],
      JSON.stringify(probes),
    )
    return { finalizers: text.split('\n').filter((line) => line.includes('/')).length }
  } catch (error) {
    if (!(error instanceof LocalError) || error.code !== 'COMMAND_FAILED') throw error
    return { finalizers: 0, refusal: error.message }
  }
}
