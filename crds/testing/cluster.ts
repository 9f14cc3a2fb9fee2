import { Kube, type Call, type Reply } from '../../lib/kube/client.ts'
import { KubeError } from '../../lib/kube/errors.ts'
import { objectPath } from '../../lib/kube/paths.ts'
import { kinds } from '../index.ts'
import type { Kind, Resource } from '../kind.ts'

/** A manifest as a user writes it. */
export interface Written {
  readonly apiVersion?: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [field: string]: unknown }
  readonly [field: string]: unknown
}

/** A real API server, as a user has it who applies manifests. */
export class Cluster implements AsyncDisposable {
  readonly kube: Kube
  /** Made for this test alone. */
  readonly namespace: string

  private constructor(kube: Kube, namespace: string) {
    this.kube = kube
    this.namespace = namespace
  }

  /** Connects, and makes a namespace. */
  static async connect(kubeconfig: string): Promise<Cluster> {
    const kube = await Kube.connect(kubeconfig)
    const body = { metadata: { generateName: 'crds-' } }
    const made = await kube.send<Resource>({ method: 'POST', path: '/api/v1/namespaces', body })
    return new Cluster(kube, made.body.metadata.name)
  }

  /** Server-side apply with strict validation. Throws KubeError with what the user sees. */
  async apply(written: Written, query: NonNullable<Call['query']> = {}): Promise<Reply<Resource>> {
    const kind = kindOf(written.kind)
    const namespaced = kind.scope === 'Namespaced' ? { namespace: this.namespace } : {}
    const metadata = { ...namespaced, ...written.metadata }
    return this.kube.send<Resource>({
      method: 'PATCH',
      path: objectPath(kind, metadata),
      query: { fieldManager: 'test', force: true, fieldValidation: 'Strict', ...query },
      contentType: 'application/apply-patch+yaml',
      body: { apiVersion: `${kind.group}/${kind.version}`, ...written, metadata },
    })
  }

  /** Applies the status as its controller would. */
  async applyStatus({ apiVersion, kind, metadata }: Resource, status: object): Promise<Resource> {
    const { name, namespace } = metadata
    const { body } = await this.kube.send<Resource>({
      method: 'PATCH',
      path: objectPath(kindOf(kind), metadata, 'status'),
      query: { fieldManager: 'controllers', force: true },
      contentType: 'application/apply-patch+yaml',
      body: { apiVersion, kind, metadata: { name, ...(namespace !== undefined && { namespace }) }, status },
    })
    return body
  }

  /** Changes fields of the status as `kubectl patch --subresource=status` does. Null takes one away. */
  async patchStatus({ kind, metadata }: Resource, status: object | null): Promise<Resource> {
    const { body } = await this.kube.send<Resource>({
      method: 'PATCH',
      path: objectPath(kindOf(kind), metadata, 'status'),
      contentType: 'application/merge-patch+json',
      body: { status },
    })
    return body
  }

  /** Deletes an object, and takes its finalizers off, which no controller does here. */
  async remove({ kind, metadata }: Resource): Promise<void> {
    const path = objectPath(kindOf(kind), metadata)
    const { body } = await this.kube.send<Partial<Resource>>({ method: 'DELETE', path })
    if (body.metadata?.finalizers === undefined) return
    const finalizers = { metadata: { finalizers: null } }
    const contentType = 'application/merge-patch+json'
    await this.kube.send({ method: 'PATCH', path, contentType, body: finalizers })
  }

  /** What the user sees when it is refused; `accepted` when it is not. Nothing is stored. */
  async objection(written: Written): Promise<string> {
    try {
      await this.apply(written, { dryRun: 'All' })
      return 'accepted'
    } catch (error) {
      if (error instanceof KubeError) return error.message
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kube[Symbol.asyncDispose]()
  }
}

/** A kind by its name. */
export function kindOf(name: string): Kind {
  const kind = kinds.find((candidate) => candidate.kind === name)
  if (!kind) throw new Error(`there is no kind ${name}`)
  return kind
}

/** A manifest of that kind. */
export function manifest(kind: string, spec: unknown, name = 'it'): Written {
  return { kind, metadata: { name }, spec }
}
