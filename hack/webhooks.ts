import type { Kind } from '../crds/kind.ts'

const API = 'admissionregistration.k8s.io/v1'
const NAME = 'holdfast'
const SERVICE = { namespace: 'holdfast-system', name: 'holdfast-webhooks' }
/**
 * Who writes while they hang is told so after this time. Less would refuse what a busy etcd makes slow: the webhooks give
 * up a second before, and say why.
 */
const TIMEOUT_SECONDS = 5
/** Our own processes. They write what was decided, and must work when no webhook does. */
const ACCOUNTS = ['holdfast-controllers', 'holdfast-webhooks'].map(
  (account) => `system:serviceaccount:${SERVICE.namespace}:${account}`,
)

const notOurs = {
  name: 'not-from-holdfast',
  expression: `!(request.userInfo.username in ${JSON.stringify(ACCOUNTS)})`,
}

/**
 * Has the API server ask our webhooks about writes of our kinds. Status is a resource of its own, and nobody is asked
 * about it. Kinds whose objects have owners are also changed on their way.
 */
export function toWebhookConfigurations(kinds: readonly Kind[], owned: readonly Kind[]): object[] {
  const validating = [
    webhook('kinds', 'validate', {
      rules: toRules(kinds, ['CREATE', 'UPDATE', 'DELETE']),
      matchConditions: [notOurs],
    }),
    webhook('crds', 'validate', {
      rules: [deletesOf('apiextensions.k8s.io', 'customresourcedefinitions')],
      matchConditions: [{ name: 'ours', expression: `oldObject.spec.group in ${JSON.stringify(groupsOf(kinds))}` }],
    }),
    // There only to learn who does it: a namespace can be deleted while nobody listens.
    webhook('namespaces', 'validate', {
      failurePolicy: 'Ignore',
      rules: [deletesOf('', 'namespaces')],
    }),
  ]
  const mutating = webhook('owners', 'mutate', {
    reinvocationPolicy: 'IfNeeded',
    rules: toRules(owned, ['CREATE', 'UPDATE']),
    matchConditions: [notOurs],
  })
  return [
    { apiVersion: API, kind: 'ValidatingWebhookConfiguration', metadata: { name: NAME }, webhooks: validating },
    { apiVersion: API, kind: 'MutatingWebhookConfiguration', metadata: { name: NAME }, webhooks: [mutating] },
  ]
}

function webhook(name: string, path: string, more: object): object {
  return {
    name: `${name}.holdfast.dev`,
    admissionReviewVersions: ['v1'],
    clientConfig: { service: { ...SERVICE, path: `/${path}`, port: 443 } },
    failurePolicy: 'Fail',
    sideEffects: 'NoneOnDryRun',
    timeoutSeconds: TIMEOUT_SECONDS,
    matchPolicy: 'Equivalent',
    ...more,
  }
}

function toRules(kinds: readonly Kind[], operations: readonly string[]): object[] {
  return groupsOf(kinds).map((group) => {
    const members = kinds.filter((kind) => kind.group === group)
    const versions = [...new Set(members.map(({ version }) => version))]
    const resources = members.map(({ plural }) => plural)
    return { apiGroups: [group], apiVersions: versions, resources, operations, scope: '*' }
  })
}

function deletesOf(group: string, plural: string): object {
  return { apiGroups: [group], apiVersions: ['v1'], resources: [plural], operations: ['DELETE'], scope: 'Cluster' }
}

function groupsOf(kinds: readonly Kind[]): string[] {
  return [...new Set(kinds.map(({ group }) => group))].toSorted()
}
