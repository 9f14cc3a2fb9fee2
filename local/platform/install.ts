import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadAll } from 'js-yaml'
import * as z from 'zod'
import { Disk } from '../../crds/disk.ts'
import { kinds } from '../../crds/index.ts'
import { VirtualMachine } from '../../crds/virtual-machine.ts'
import { Kube } from '../../lib/kube/client.ts'
import { KubeError } from '../../lib/kube/errors.ts'
import { collectionPath, objectPath } from '../../lib/kube/paths.ts'
import { LocalError } from '../errors.ts'
import { kubectl, type Kubectl } from '../kubectl.ts'

const CONFIG = join(import.meta.dirname, '..', '..', 'config')
const APPLY = ['apply', '--server-side', '--force-conflicts', '--field-manager', 'holdfast']
const SERVED_TIMEOUT_MS = 120_000
const WORKS_TIMEOUT_MS = 60_000
const POLL_MS = 100
/** For so long a refusal may be one of a cluster that has yet to learn of our kinds. */
const FOREIGN_MS = 3_000
const REFUSALS: ReadonlySet<string> = new Set(['Forbidden', 'Invalid', 'BadRequest'])
/** How the API server names what it could not ask, or could not carry out. */
const OURS = /webhook "[^"]*holdfast\.dev"|policy '[^']*holdfast\.dev'/i
const CRDS = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  scope: 'Cluster',
} as const
const ADMISSION = '/apis/admissionregistration.k8s.io/v1'

/** Teaches a cluster our kinds, permissions and admission policies, and waits until they work. */
export async function installManifests(cluster: Kubectl): Promise<void> {
  const { hasPolicies } = await installKinds(cluster)
  if (hasPolicies) await untilPoliciesWork(cluster)
}

/**
 * To be called once our webhooks answer, or are asked no more. Returns why it could not be seen whether they work, if so.
 * Throws `NOT_READY`.
 */
export async function untilPoliciesWork(cluster: Kubectl): Promise<string | undefined> {
  return untilAdmitted(cluster, { policies: true, webhooks: false })
}

/** What of ours a cluster has in the path of a write. */
interface InPath {
  readonly policies: boolean
  readonly webhooks: boolean
}

/**
 * Teaches a cluster our kinds, permissions and admission policies, and waits until it serves the kinds. Changes nothing
 * that is there already. Where the cluster has no mutating policies, controllers set finalizers with one more write.
 */
export async function installKinds(cluster: Kubectl): Promise<{ readonly hasPolicies: boolean }> {
  await using kube = await connect(cluster)
  const hasPolicies = await servesPolicies(kube)
  await apply(cluster, 'crd', 'rbac', 'policies', ...(hasPolicies ? ['admission'] : []))
  await untilEstablished(kube)
  return { hasPolicies }
}

const resourceList = z.object({ resources: z.array(z.object({ name: z.string() })) })

async function servesPolicies(kube: Kube): Promise<boolean> {
  const { body } = await kube.send({ method: 'GET', path: ADMISSION })
  return resourceList.parse(body).resources.some(({ name }) => name === 'mutatingadmissionpolicies')
}

const definition = z.object({
  status: z
    .object({ conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]) })
    .prefault({}),
})

async function untilEstablished(kube: Kube): Promise<void> {
  const deadline = performance.now() + SERVED_TIMEOUT_MS
  for (const { plural, group } of kinds) {
    const path = objectPath(CRDS, { name: `${plural}.${group}` })
    for (;;) {
      const { status } = definition.parse((await kube.send({ method: 'GET', path })).body)
      if (status.conditions.some(({ type, status: is }) => type === 'Established' && is === 'True')) break
      if (performance.now() > deadline)
        throw new LocalError('NOT_READY', `the API server does not serve ${plural} of ${group}`)
      await sleep(POLL_MS)
    }
  }
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
  /** Whether our admission policies were installed, and are waited for as well. */
  readonly hasPolicies?: boolean
}

/**
 * Has the API server ask webhooks that listen at an address such as https://127.0.0.1:9443, and waits until it does.
 * They must listen already: until they answer, our kinds cannot be written. Returns why it could not be seen whether it
 * asks them, if so. Throws `NOT_READY`.
 */
export async function installWebhooks(
  cluster: Kubectl,
  origin: string,
  { servedBy, patienceMs = WORKS_TIMEOUT_MS, hasPolicies = false }: Installation = {},
): Promise<string | undefined> {
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
  return untilAdmitted(cluster, { policies: hasPolicies, webhooks: true }, patienceMs)
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

const probes = [
  { kind: Disk, spec: { size: '1Gi' } },
  { kind: VirtualMachine, spec: { memory: '1Gi', rootDisk: { imageRef: { name: 'probe' } } } },
] as const

const admitted = z.object({
  metadata: z.object({
    finalizers: z.array(z.string()).default([]),
    labels: z.record(z.string(), z.string()).default({}),
  }),
})

/**
 * Waits until what is created gets the marks of what is in its path. For some seconds after that was made, the API
 * server refuses what it is for, or lets it pass without it. Throws `NOT_READY`. Where somebody else's rule refuses what
 * would be created, nothing can be seen, and nothing is wrong: then it returns a sentence that says so.
 */
async function untilAdmitted(
  cluster: Kubectl,
  inPath: InPath,
  patienceMs = WORKS_TIMEOUT_MS,
): Promise<string | undefined> {
  await using kube = await connect(cluster)
  const startedAt = performance.now()
  for (;;) {
    const found = await Promise.all(probes.map(async (probe) => tryProbe(kube, probe, inPath)))
    const objection = found.find((one) => one !== undefined)
    if (!objection) return undefined
    const passedMs = performance.now() - startedAt
    if (objection.isForeign && passedMs > FOREIGN_MS) {
      return `it could not be seen whether ${inPath.webhooks ? 'the webhooks' : 'our admission policies'} work, for a rule of this cluster refuses what would be created for that: ${objection.message}`
    }
    if (passedMs > patienceMs) throw new LocalError('NOT_READY', objection.message)
    await sleep(POLL_MS)
  }
}

interface Objection {
  readonly message: string
  /** A rule that is none of ours refuses the object. */
  readonly isForeign: boolean
}

/** What is not as it is to be with an object that would be made. */
async function tryProbe(
  kube: Kube,
  { kind, spec }: (typeof probes)[number],
  { policies, webhooks }: InPath,
): Promise<Objection | undefined> {
  const apiVersion = `${kind.group}/${kind.version}`
  const body = { apiVersion, kind: kind.kind, metadata: { generateName: 'holdfast-probe-' }, spec }
  const path = collectionPath(kind, 'default')
  const ours = (message: string) => ({ message, isForeign: false })
  try {
    const reply = await kube.send({ method: 'POST', path, query: { dryRun: 'All' }, body })
    const { finalizers, labels } = admitted.parse(reply.body).metadata
    const isOurs = (mark: string) => mark.includes('holdfast.dev/')
    if (policies && !finalizers.some(isOurs)) return ours('the admission policies do not work: they set no finalizer')
    if (webhooks && !Object.keys(labels).some(isOurs)) return ours('the webhooks do not work: they set no owner')
    return undefined
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    const { code, message } = error
    if (REFUSALS.has(code) && !OURS.test(message)) return { message, isForeign: true }
    return ours(`${webhooks ? 'the webhooks do' : 'the API server does'} not work: ${message}`)
  }
}

async function connect({ kubeconfig, env }: Kubectl): Promise<Kube> {
  return Kube.connect(kubeconfig, { environment: env })
}
