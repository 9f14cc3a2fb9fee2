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
    { apiVersion: `${rbac}/v1`, kind: 'Role', metadata: lease, rules: leaseRules },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'RoleBinding',
      metadata: lease,
      roleRef: { apiGroup: rbac, kind: 'Role', name: NAME },
      subjects,
    },
  ]
}

const LEASES = { apiGroups: ['coordination.k8s.io'], resources: ['leases'] }

// A name that is yet to be given cannot be named in a rule.
const leaseRules = [
  { ...LEASES, verbs: ['create'] },
  { ...LEASES, resourceNames: [leaderLease.name], verbs: ['get', 'patch'] },
]

function rules(kinds: readonly Kind[]): object[] {
  const groups = [...new Set(kinds.map(({ group }) => group))].toSorted()
  const watched = groups.map((group) => ({
    apiGroups: [group],
    resources: ofGroup(kinds, group),
    verbs: ['get', 'list', 'watch'],
  }))
  const reported = groups.map((group) => ({
    apiGroups: [group],
    resources: ofGroup(kinds, group).map((plural) => `${plural}/status`),
    verbs: ['patch'],
  }))
  const finalized = kinds
    .filter(({ finalizer }) => finalizer !== undefined)
    .map(({ group, plural }) => ({ apiGroups: [group], resources: [plural], verbs: ['patch'] }))
  return [
    ...watched,
    ...reported,
    ...finalized,
    // The root disk of a machine.
    { apiGroups: ['storage.holdfast.dev'], resources: ['disks'], verbs: ['create', 'delete'] },
    // Certificates of the servers that images come from.
    { apiGroups: [''], resources: ['configmaps'], verbs: ['get'] },
    { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
  ]
}

function ofGroup(kinds: readonly Kind[], wanted: string): string[] {
  return kinds.filter(({ group }) => group === wanted).map(({ plural }) => plural)
}
