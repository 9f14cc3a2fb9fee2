import type { Kind } from '../crds/kind.ts'
import { leaderLease } from '../crds/leader-lease.ts'

const NAMESPACE = 'holdfast-system'
const NAME = 'holdfast-controllers'

/** What the controllers may do in the cluster, and not one verb more. */
export function toControllerRoles(kinds: readonly Kind[]): object[] {
  const rbac = 'rbac.authorization.k8s.io'
  const subjects = [{ kind: 'ServiceAccount', name: NAME, namespace: NAMESPACE }]
  const lease = { name: NAME, namespace: leaderLease.namespace }
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: NAME, namespace: NAMESPACE } },
    { apiVersion: `${rbac}/v1`, kind: 'ClusterRole', metadata: { name: NAME }, rules: rules(kinds) },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: { name: NAME },
      roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: NAME },
      subjects,
    },
    { apiVersion: `${rbac}/v1`, kind: 'Role', metadata: lease, rules: ownRules },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'RoleBinding',
      metadata: lease,
      roleRef: { apiGroup: rbac, kind: 'Role', name: NAME },
      subjects,
    },
  ]
}

/** What the webhooks may do in the cluster, and not one verb more. The namespace is that of the controllers. */
export function toWebhookRoles(kinds: readonly Kind[]): object[] {
  const rbac = 'rbac.authorization.k8s.io'
  const name = 'holdfast-webhooks'
  const own = { name, namespace: NAMESPACE }
  const subjects = [{ kind: 'ServiceAccount', ...own }]
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: own },
    { apiVersion: `${rbac}/v1`, kind: 'ClusterRole', metadata: { name }, rules: webhookRules(kinds) },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: { name },
      roleRef: { apiGroup: rbac, kind: 'ClusterRole', name },
      subjects,
    },
    { apiVersion: `${rbac}/v1`, kind: 'Role', metadata: own, rules: webhookRecords(name) },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'RoleBinding',
      metadata: own,
      roleRef: { apiGroup: rbac, kind: 'Role', name },
      subjects,
    },
  ]
}

function webhookRules(kinds: readonly Kind[]): object[] {
  return [
    ...watched(kinds),
    // Pending entries of the recycle bin.
    { apiGroups: ['platform.holdfast.dev'], resources: ['recycledresources'], verbs: ['create', 'update'] },
    { apiGroups: ['authorization.k8s.io'], resources: ['subjectaccessreviews'], verbs: ['create'] },
    // When a namespace was deleted, and whether it is the one that somebody was seen to delete.
    { apiGroups: [''], resources: ['namespaces'], verbs: ['get'] },
    // Whom the API server trusts.
    {
      apiGroups: ['admissionregistration.k8s.io'],
      resources: ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations'],
      resourceNames: ['holdfast'],
      verbs: ['get', 'patch'],
    },
  ]
}

// A name that is yet to be given cannot be named in a rule.
function webhookRecords(name: string): object[] {
  return [
    { apiGroups: [''], resources: ['secrets'], verbs: ['create'] },
    { apiGroups: [''], resources: ['secrets'], resourceNames: [name], verbs: ['get', 'update'] },
    // Brakes, and who deleted a namespace.
    { apiGroups: [''], resources: ['configmaps'], verbs: ['create', 'get', 'update'] },
  ]
}

const LEASES = { apiGroups: ['coordination.k8s.io'], resources: ['leases'] }

/** In their own namespace. */
const ownRules = [
  // A name that is yet to be given cannot be named in a rule.
  { ...LEASES, verbs: ['create'] },
  { ...LEASES, resourceNames: [leaderLease.name], verbs: ['get', 'patch'] },
  // Brakes, as the webhooks keep them. A label cannot be named in a rule.
  { apiGroups: [''], resources: ['configmaps'], verbs: ['list', 'watch'] },
]

function rules(kinds: readonly Kind[]): object[] {
  const reported = groupsOf(kinds).map((group) => ({
    apiGroups: [group],
    resources: ofGroup(kinds, group).map((plural) => `${plural}/status`),
    verbs: ['update'],
  }))
  const finalized = kinds
    .filter(({ finalizer }) => finalizer !== undefined)
    .map(({ group, plural }) => ({ apiGroups: [group], resources: [plural], verbs: ['patch'] }))
  return [
    ...watched(kinds),
    ...reported,
    ...finalized,
    // The root disk of a machine.
    { apiGroups: ['storage.holdfast.dev'], resources: ['disks'], verbs: ['create', 'delete'] },
    // The recycle bin: entries, and what is brought back from them.
    { apiGroups: ['platform.holdfast.dev'], resources: ['recycledresources'], verbs: ['create', 'update', 'delete'] },
    { apiGroups: ['compute.holdfast.dev'], resources: ['virtualmachines'], verbs: ['create'] },
    { apiGroups: ['storage.holdfast.dev'], resources: ['images'], verbs: ['create'] },
    { apiGroups: [''], resources: ['namespaces'], verbs: ['get', 'create'] },
    // Certificates of the servers that images come from.
    { apiGroups: [''], resources: ['configmaps'], verbs: ['get'] },
    { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create'] },
  ]
}

function watched(kinds: readonly Kind[]): object[] {
  return groupsOf(kinds).map((group) => ({
    apiGroups: [group],
    resources: ofGroup(kinds, group),
    verbs: ['get', 'list', 'watch'],
  }))
}

function groupsOf(kinds: readonly Kind[]): string[] {
  return [...new Set(kinds.map(({ group }) => group))].toSorted()
}

function ofGroup(kinds: readonly Kind[], wanted: string): string[] {
  return kinds.filter(({ group }) => group === wanted).map(({ plural }) => plural)
}
