import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadAll } from 'js-yaml'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import * as z from 'zod'
import { Kube } from '../lib/kube/client.ts'
import { objectPath } from '../lib/kube/paths.ts'
import { leaderLease } from './leader-lease.ts'
import { Cluster, kindOf, manifest } from './testing/cluster.ts'

let cluster: Cluster
let controllers: Kube
let webhooks: Kube
beforeAll(async () => {
  cluster = await Cluster.connect(inject('kubeconfig'))
  controllers = await Kube.connect(inject('controllersKubeconfig'))
  webhooks = await Kube.connect(inject('webhooksKubeconfig'))
})
afterAll(async () => {
  await controllers[Symbol.asyncDispose]()
  await webhooks[Symbol.asyncDispose]()
  await cluster[Symbol.asyncDispose]()
})

const rule = z.object({
  apiGroups: z.array(z.string()),
  resources: z.array(z.string()),
  resourceNames: z.array(z.string()).default(['']),
  verbs: z.array(z.string()),
})
const rules = z.object({
  status: z.object({ resourceRules: z.array(rule.partial({ resources: true, apiGroups: true })) }),
})

describe('The controllers', () => {
  test('may do what config/rbac says, and not one verb more', async () => {
    const [before, now] = await Promise.all([everybody(), asked()])
    const text = await readFile(join(import.meta.dirname, '..', 'config', 'rbac', 'controllers.yaml'), 'utf8')
    const roles = loadAll(text).flatMap((document) => {
      const parsed = z.object({ kind: z.literal('ClusterRole'), rules: z.array(rule) }).safeParse(document)
      return parsed.success ? parsed.data.rules : []
    })
    const granted = new Set(roles.flatMap(expand))
    expect(granted.size).toBeGreaterThan(20)
    expect(now.difference(before)).toEqual(granted.difference(before))
  })

  test('have besides, in their own namespace, the one Lease that they elect their leader by, and see brakes', async () => {
    const { namespace, name } = leaderLease
    const everywhere = await asked()
    const besides = (await rulesOf(controllers, namespace)).difference(everywhere)
    expect([...besides].toSorted((a, b) => a.localeCompare(b))).toEqual([
      'create coordination.k8s.io/leases',
      `get coordination.k8s.io/leases/${name}`,
      'list /configmaps',
      `patch coordination.k8s.io/leases/${name}`,
      'watch /configmaps',
    ])
  })

  test.each<[string, string, string]>([
    ['get', '', 'secrets'],
    ['list', '', 'secrets'],
    ['list', '', 'configmaps'],
    ['create', '', 'pods'],
    ['create', '', 'serviceaccounts/token'],
    ['impersonate', '', 'users'],
    ['create', 'rbac.authorization.k8s.io', 'clusterrolebindings'],
    ['update', 'apiextensions.k8s.io', 'customresourcedefinitions'],
    ['update', 'admissionregistration.k8s.io', 'mutatingadmissionpolicies'],
    ['update', 'compute.holdfast.dev', 'virtualmachines'],
    ['delete', 'compute.holdfast.dev', 'virtualmachines'],
    ['deletecollection', 'storage.holdfast.dev', 'disks'],
    ['update', 'compute.holdfast.dev', 'virtualmachines'],
    ['patch', 'compute.holdfast.dev', 'virtualmachines/status'],
    ['patch', 'compute.holdfast.dev', 'hosts'],
    ['delete', 'compute.holdfast.dev', 'hosts'],
    ['delete', 'storage.holdfast.dev', 'images'],
    ['delete', '', 'namespaces'],
    ['deletecollection', 'platform.holdfast.dev', 'recycledresources'],
    ['delete', 'storage.holdfast.dev', 'datastorages'],
    ['patch', 'platform.holdfast.dev', 'platformsettings'],
    ['delete', 'events.k8s.io', 'events'],
    ['patch', 'events.k8s.io', 'events'],
  ])('may not %s %s/%s', async (verb, group, resource) => {
    const [name = '', subresource] = resource.split('/')
    const resourceAttributes = { verb, group, resource: name, ...(subresource !== undefined && { subresource }) }
    const { body } = await controllers.send<{ status: { allowed: boolean } }>({
      method: 'POST',
      path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      body: { spec: { resourceAttributes } },
    })
    expect(body.status.allowed).toBe(false)
  })

  test('write the status of a machine, but are refused its deletion and any Secret', async () => {
    const { body } = await cluster.apply(
      manifest('VirtualMachine', { memory: '1Gi', rootDisk: { imageRef: { name: 'a' } } }, 'mine'),
    )
    const path = objectPath(kindOf('VirtualMachine'), body.metadata)
    await controllers.send({
      method: 'PUT',
      path: `${path}/status`,
      query: { fieldManager: 'controllers' },
      body: { ...body, status: { host: 'a' } },
    })
    await expect(controllers.send({ method: 'DELETE', path })).rejects.toMatchObject({ code: 'Forbidden' })
    const secrets = `/api/v1/namespaces/${cluster.namespace}/secrets`
    await expect(controllers.send({ method: 'GET', path: secrets })).rejects.toMatchObject({ code: 'Forbidden' })
    await cluster.remove(body)
  })
})

describe('The webhooks', () => {
  test.each<[allowed: boolean, verb: string, group: string, thing: string]>([
    [true, 'create', 'authorization.k8s.io', 'subjectaccessreviews'],
    [true, 'watch', 'compute.holdfast.dev', 'virtualmachines'],
    [true, 'create', 'platform.holdfast.dev', 'recycledresources'],
    [false, 'delete', 'platform.holdfast.dev', 'recycledresources'],
    [false, 'update', 'compute.holdfast.dev', 'virtualmachines'],
    [false, 'delete', 'storage.holdfast.dev', 'disks'],
    [false, 'patch', 'platform.holdfast.dev', 'platformsettings'],
    [true, 'patch', 'admissionregistration.k8s.io', 'validatingwebhookconfigurations/holdfast'],
    [false, 'patch', 'admissionregistration.k8s.io', 'validatingwebhookconfigurations/another'],
    [false, 'create', 'admissionregistration.k8s.io', 'validatingwebhookconfigurations'],
    [true, 'get', '', 'secrets/holdfast-webhooks'],
    [false, 'get', '', 'secrets/another'],
    [false, 'list', '', 'secrets'],
    [true, 'get', '', 'namespaces'],
    [false, 'list', '', 'namespaces'],
    [false, 'impersonate', '', 'users'],
  ])('%s: may %s %s/%s', async (allowed, verb, group, thing) => {
    const [resource = '', name] = thing.split('/')
    const namespace = group === '' && resource === 'secrets' ? 'holdfast-system' : undefined
    const { body } = await webhooks.send<{ status: { allowed: boolean } }>({
      method: 'POST',
      path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      body: { spec: { resourceAttributes: { verb, group, resource, name, namespace } } },
    })
    expect(body.status.allowed).toBe(allowed)
  })
})

/** Every verb on every resource that the controllers have. */
async function asked(): Promise<Set<string>> {
  return rulesOf(controllers)
}

/** What anybody has who is logged in. */
async function everybody(): Promise<Set<string>> {
  const path = `/apis/rbac.authorization.k8s.io/v1/clusterroles/system:basic-user`
  const { body } = await cluster.kube.send({ method: 'GET', path })
  return new Set(
    z
      .object({ rules: z.array(rule) })
      .parse(body)
      .rules.flatMap(expand),
  )
}

async function rulesOf(kube: Kube, namespace = cluster.namespace): Promise<Set<string>> {
  const { body } = await kube.send({
    method: 'POST',
    path: '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews',
    body: { spec: { namespace } },
  })
  const { resourceRules } = rules.parse(body).status
  return new Set(
    resourceRules.flatMap(({ apiGroups = [], resources = [], ...rest }) => expand({ ...rest, apiGroups, resources })),
  )
}

function expand({ apiGroups, resources, resourceNames, verbs }: z.infer<typeof rule>): string[] {
  const things = resources.flatMap((resource) =>
    resourceNames.map((name) => (name === '' ? resource : `${resource}/${name}`)),
  )
  return apiGroups.flatMap((group) => things.flatMap((thing) => verbs.map((verb) => `${verb} ${group}/${thing}`)))
}
