import { join } from 'node:path'
import { kubectl, type Kubectl } from '../kubectl.ts'

const CONFIG = join(import.meta.dirname, '..', '..', 'config')
const MANAGER = 'holdfast'
const SERVED_TIMEOUT = '--timeout=30s'

/**
 * Teaches a cluster our kinds, permissions and admission policies, and waits until it serves them. Changes nothing
 * that is there already. Where the cluster has no mutating policies, controllers set finalizers with one more write.
 */
export async function installManifests(cluster: Kubectl): Promise<void> {
  await apply(cluster, 'crd', 'rbac')
  await kubectl(cluster, ['wait', '--for=condition=Established', SERVED_TIMEOUT, '--filename', join(CONFIG, 'crd')])
  const served = await kubectl(cluster, ['api-resources', '--api-group=admissionregistration.k8s.io', '--output=name'])
  if (served.includes('mutatingadmissionpolicies')) await apply(cluster, 'admission')
}

/** Path of a sample, or of the folder of all. */
export function samplePath(name = ''): string {
  return join(CONFIG, 'samples', name)
}

async function apply(cluster: Kubectl, ...folders: readonly string[]): Promise<void> {
  const files = folders.flatMap((folder) => ['--filename', join(CONFIG, folder)])
  await kubectl(cluster, ['apply', '--server-side', '--force-conflicts', '--field-manager', MANAGER, ...files])
}
