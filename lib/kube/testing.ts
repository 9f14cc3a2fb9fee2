import { setTimeout as sleep } from 'node:timers/promises'
import * as z from 'zod'
import { baseStatus, type ObjectMeta } from '../../crds/common.ts'
import { defineKind, type Resource } from '../../crds/kind.ts'
import type { Kube } from './client.ts'
import { isKubeError } from './errors.ts'
import { collectionPath } from './paths.ts'

/** A kind of the tests' own, which has no finalizer by itself. */
export const Thing = defineKind({
  group: 'test.dev',
  version: 'v1',
  kind: 'Thing',
  plural: 'things',
  shortNames: [],
  scope: 'Namespaced',
  description: '',
  spec: z.object({ size: z.string().optional() }),
  status: z.object({ ...baseStatus, host: z.string().optional(), zone: z.string().optional() }),
  columns: [],
  selectableFields: [],
})
export type Thing = Resource<typeof Thing>

/** An object of that kind, as the API server returns it: `shop/<name>`, whose uid is `<name>-1`. */
export function thing(name: string, version: number, metadata: Partial<ObjectMeta> = {}): Thing {
  return {
    apiVersion: 'test.dev/v1',
    kind: 'Thing',
    metadata: {
      namespace: 'shop',
      name,
      uid: `${name}-1`,
      generation: 1,
      resourceVersion: String(version),
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...metadata,
    },
    spec: {},
  }
}

const text = { type: 'string' }
const conditions = {
  type: 'array',
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': ['type'],
  items: {
    type: 'object',
    required: ['type'],
    properties: { type: text, status: text, reason: text, message: text, lastTransitionTime: text },
  },
}
const properties = {
  spec: { type: 'object', properties: { size: { type: 'string', pattern: '^[1-9]Gi$' } } },
  status: { type: 'object', properties: { host: text, zone: text, conditions } },
}
const definition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'things.test.dev' },
  spec: {
    group: 'test.dev',
    scope: 'Namespaced',
    names: { plural: 'things', singular: 'thing', kind: 'Thing', listKind: 'ThingList' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: { openAPIV3Schema: { type: 'object', properties } },
      },
    ],
  },
}

/** Teaches a real server the kind, and makes a namespace. */
export async function serveThings(kube: Kube): Promise<string> {
  await kube.send({
    method: 'PATCH',
    path: `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${definition.metadata.name}`,
    query: { fieldManager: 'test', force: true },
    contentType: 'application/apply-patch+yaml',
    body: definition,
  })
  const isServed = async () =>
    kube.send({ method: 'GET', path: collectionPath(Thing) }).then(
      () => true,
      (error: unknown) => !isKubeError(error, 'NotFound'),
    )
  while (!(await isServed())) await sleep(50)
  const body = { metadata: { generateName: 'lib-' } }
  const made = await kube.send<{ metadata: { name: string } }>({ method: 'POST', path: '/api/v1/namespaces', body })
  return made.body.metadata.name
}
