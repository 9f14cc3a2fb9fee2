import * as z from 'zod'
import type { Kube } from '../lib/kube/client.ts'
import { isKubeError } from '../lib/kube/errors.ts'
import { objectPath, type Endpoint } from '../lib/kube/paths.ts'

const GROUP = 'admissionregistration.k8s.io'
const configurations: readonly (Endpoint & { readonly kind: string })[] = [
  {
    group: GROUP,
    version: 'v1',
    plural: 'validatingwebhookconfigurations',
    scope: 'Cluster',
    kind: 'ValidatingWebhookConfiguration',
  },
  {
    group: GROUP,
    version: 'v1',
    plural: 'mutatingwebhookconfigurations',
    scope: 'Cluster',
    kind: 'MutatingWebhookConfiguration',
  },
]
const NAME = 'holdfast'
const MANAGER = 'holdfast-webhooks'

const configuration = z.object({
  webhooks: z
    .array(z.object({ name: z.string(), clientConfig: z.object({ caBundle: z.string().optional() }) }))
    .default([]),
})

/**
 * Tells the API server whom to trust: writes the bundle (PEM) into our webhook configurations, and nothing else of them.
 * False while one of them is not installed, or names no webhook. Throws KubeError.
 */
export async function publishBundle(kube: Pick<Kube, 'send'>, bundle: string): Promise<boolean> {
  const caBundle = Buffer.from(bundle).toString('base64')
  const published = await Promise.all(configurations.map((kind) => publishIn(kube, kind, caBundle)))
  return published.every(Boolean)
}

async function publishIn(
  kube: Pick<Kube, 'send'>,
  { kind, ...endpoint }: (typeof configurations)[number],
  caBundle: string,
): Promise<boolean> {
  const path = objectPath(endpoint, { name: NAME })
  const found = await read(kube, path)
  if (!found || found.webhooks.length === 0) return false
  if (found.webhooks.every(({ clientConfig }) => clientConfig.caBundle === caBundle)) return true
  const webhooks = found.webhooks.map(({ name }) => ({ name, clientConfig: { caBundle } }))
  await kube.send({
    method: 'PATCH',
    path,
    query: { fieldManager: MANAGER, force: true },
    contentType: 'application/apply-patch+yaml',
    body: { apiVersion: `${GROUP}/v1`, kind, metadata: { name: NAME }, webhooks },
  })
  return true
}

async function read(kube: Pick<Kube, 'send'>, path: string) {
  try {
    return configuration.parse((await kube.send({ method: 'GET', path })).body)
  } catch (error) {
    if (isKubeError(error, 'NotFound')) return undefined
    throw error
  }
}
