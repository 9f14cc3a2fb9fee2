import type { Kind } from '../crds/kind.ts'

const API = 'admissionregistration.k8s.io/v1'

/**
 * Has the API server itself set a kind's finalizer, on creation and when an update drops it. So there is no moment
 * without it, and no write of ours. Needs Kubernetes 1.36; on older clusters the controllers write it.
 */
export function toFinalizerPolicy({ group, version, plural, finalizer }: Kind & { finalizer: string }): object[] {
  const name = `finalizer.${plural}.${group}`
  const listed = `object.metadata.?finalizers.orValue([]).exists(f, f == "${finalizer}")`
  const patch = [
    'has(object.metadata.finalizers)',
    `? [JSONPatch{op: "add", path: "/metadata/finalizers/-", value: "${finalizer}"}]`,
    `: [JSONPatch{op: "add", path: "/metadata/finalizers", value: ["${finalizer}"]}]`,
  ]
  const policy = {
    apiVersion: API,
    kind: 'MutatingAdmissionPolicy',
    metadata: { name },
    spec: {
      failurePolicy: 'Fail',
      reinvocationPolicy: 'IfNeeded',
      matchConstraints: {
        resourceRules: [
          { apiGroups: [group], apiVersions: [version], operations: ['CREATE', 'UPDATE'], resources: [plural] },
        ],
      },
      matchConditions: [
        { name: 'lives', expression: '!has(object.metadata.deletionTimestamp)' },
        { name: 'lacks-it', expression: `!${listed}` },
      ],
      mutations: [{ patchType: 'JSONPatch', jsonPatch: { expression: patch.join(' ') } }],
    },
  }
  const binding = {
    apiVersion: API,
    kind: 'MutatingAdmissionPolicyBinding',
    metadata: { name },
    spec: { policyName: name },
  }
  return [policy, binding]
}
