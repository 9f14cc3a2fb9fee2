import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadAll } from 'js-yaml'
import * as z from 'zod'
import { LocalError } from '../errors.ts'
import { kubectl, type Kubectl } from '../kubectl.ts'

const CONFIG = join(import.meta.dirname, '..', '..', 'config')
const APPLY = ['apply', '--server-side', '--force-conflicts', '--field-manager', 'holdfast']
const SERVED_TIMEOUT = '--timeout=30s'
const WORKS_TIMEOUT_MS = 60_000
const POLL_MS = 200

/** Teaches a cluster our kinds, permissions and admission policies. Changes nothing that is there already. */
export async function installManifests(cluster: Kubectl): Promise<void> {
  await installKinds(cluster)
  await installPolicies(cluster)
}

/** Teaches a cluster our kinds and permissions, and waits until it serves them. */
export async function installKinds(cluster: Kubectl): Promise<void> {
  await apply(cluster, 'crd', 'rbac')
  await kubectl(cluster, ['wait', '--for=condition=Established', SERVED_TIMEOUT, '--filename', join(CONFIG, 'crd')])
}

/**
 * Installs our admission policies, and waits until they work. Where the cluster has no mutating policies, controllers
 * set finalizers with one more write.
 */
export async function installPolicies(cluster: Kubectl): Promise<void> {
  const served = await kubectl(cluster, ['api-resources', '--api-group=admissionregistration.k8s.io', '--output=name'])
  if (!served.includes('mutatingadmissionpolicies')) return
  await apply(cluster, 'admission')
  const output = '--output=jsonpath={.metadata.finalizers}{"\\n"}' // Once for each object.
  await untilProbed(cluster, output, {
    failure: 'the admission policies do not work',
    otherwise: 'they set no finalizer',
  })
}

/** Annotation of a webhook configuration: which `npm start` serves it. */
export const SERVED_BY = 'holdfast.dev/served-by'

const configuration = z.looseObject({
  metadata: z.looseObject({ name: z.string() }),
  webhooks: z.array(z.looseObject({ clientConfig: z.object({ service: z.looseObject({ path: z.string() }) }) })),
})

export interface Installation {
  /** Who serves them, for whoever else comes to this cluster. */
  readonly servedBy?: string
  /** How long it may take until they are asked. */
  readonly patienceMs?: number
}

/**
 * Has the API server ask webhooks that listen at an address such as https://127.0.0.1:9443, and waits until it does.
 * They must listen already: until they answer, our kinds cannot be written. Throws `NOT_READY`.
 */
export async function installWebhooks(
  cluster: Kubectl,
  origin: string,
  { servedBy, patienceMs = WORKS_TIMEOUT_MS }: Installation = {},
): Promise<void> {
  const documents = loadAll(await readFile(join(CONFIG, 'webhooks', 'configurations.yaml'), 'utf8'))
  const items = documents.map((document) => {
    const { webhooks, metadata: named, ...rest } = configuration.parse(document)
    const located = webhooks.map(({ clientConfig, ...webhook }) => {
      return { ...webhook, clientConfig: { url: `${origin}${clientConfig.service.path}` } }
    })
    const annotations = { [SERVED_BY]: servedBy }
    return { ...rest, metadata: { ...named, ...(servedBy !== undefined && { annotations }) }, webhooks: located }
  })
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items })
  await kubectl(cluster, [...APPLY, '--filename', '-'], list)
  const output = String.raw`--output=jsonpath={.metadata.labels}{"\n"}`
  await untilProbed(cluster, output, {
    failure: 'the webhooks do not work',
    otherwise: 'they set no owner',
    patienceMs,
  })
}

/** Has the API server ask no webhooks of ours any more. */
export async function removeWebhooks(cluster: Kubectl): Promise<void> {
  await kubectl(cluster, ['delete', '--ignore-not-found', '--filename', join(CONFIG, 'webhooks')])
}

/** Path of a sample, or of the folder of all. */
export function samplePath(name = ''): string {
  return join(CONFIG, 'samples', name)
}

async function apply(cluster: Kubectl, ...folders: readonly string[]): Promise<void> {
  const files = folders.flatMap((folder) => ['--filename', join(CONFIG, folder)])
  await kubectl(cluster, [...APPLY, ...files])
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

interface Probing {
  readonly patienceMs?: number
  readonly failure: string
  /** What is wrong where nothing is refused. */
  readonly otherwise: string
}

// For some seconds after a policy is made, the API server refuses what it is for, or lets it pass without it.
async function untilProbed(cluster: Kubectl, output: string, probing: Probing): Promise<void> {
  const { failure, otherwise, patienceMs = WORKS_TIMEOUT_MS } = probing
  const deadline = performance.now() + patienceMs
  for (;;) {
    const answer = await tryProbes(cluster, output)
    if (answer.marked === probes.items.length) return
    if (performance.now() > deadline) {
      throw new LocalError('NOT_READY', `${failure}: ${answer.refusal ?? otherwise}`)
    }
    await sleep(POLL_MS)
  }
}

/** How many of the probes got a mark of ours, each on a line of the output. */
async function tryProbes(cluster: Kubectl, output: string): Promise<{ marked: number; refusal?: string }> {
  try {
    const text = await kubectl(
      cluster,
      ['create', '--dry-run=server', output, '--filename', '-'],
      JSON.stringify(probes),
    )
    return { marked: text.split('\n').filter((line) => line.includes('holdfast.dev/')).length }
  } catch (error) {
    if (!(error instanceof LocalError) || error.code !== 'COMMAND_FAILED') throw error
    return { marked: 0, refusal: error.message }
  }
}
