import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { loadOrCreateAuthority, loadOrIssue, type Authority, type Identity } from '../../lib/tls/authority.ts'
import { readTextFile, writePrivateFile } from '../../lib/tls/private-file.ts'
import { LocalError } from '../errors.ts'

/** Names of the ServiceAccounts that our processes act as, here and in a cluster. */
const CONTROLLERS_NAMESPACE = 'holdfast-system'
const CONTROLLERS_ACCOUNT = 'holdfast-controllers'
const WEBHOOKS_ACCOUNT = 'holdfast-webhooks'

const CONFIGURATION = 'apiserver.config.k8s.io/v1'

/** By what the webhooks know the API server. */
export const webhookCaller = { commonName: 'kube-apiserver-webhooks', authority: 'ca.crt' } as const

/** Kubeconfigs, as text, of who talks to the API server. */
export interface Kubeconfigs {
  readonly administrator: string
  readonly controllers: string
  readonly webhooks: string
  readonly controllerManager: string
}

export interface IdentityOptions {
  /** Where keys are kept. */
  readonly folder: string
  readonly port: number
  /** Whether etcd already has data, which lost keys would make unreadable. */
  readonly hasData: boolean
}

/**
 * Makes, or finds and renews, everything that the control plane's processes prove themselves with, in files that the
 * arguments of the processes name. Throws `KEY_LOST` when data would become unreadable.
 */
export async function prepareIdentities({ folder, port, hasData }: IdentityOptions): Promise<Kubeconfigs> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const authority = await loadOrCreateAuthority(folder, 'holdfast-kubernetes')
  await loadOrIssue(authority, {
    folder,
    name: 'kube-apiserver',
    commonName: 'kube-apiserver',
    dnsNames: ['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc'],
    ips: ['127.0.0.1', '10.96.0.1'],
    usages: ['Server'],
  })
  const kubeconfigOf = async (name: string, commonName: string, organizations: string[]) => {
    const identity = await loadOrIssue(authority, { folder, name, commonName, organizations, usages: ['Client'] })
    return toKubeconfig({ name, identity, authority: authority.certificate, port })
  }
  const manager = await kubeconfigOf('kube-controller-manager', 'system:kube-controller-manager', [])
  await writePrivateFile(join(folder, 'kube-controller-manager.kubeconfig'), manager)
  await prepareServiceAccountKeys(folder)
  await prepareEncryption(folder, hasData)
  await prepareAdmission(authority, folder)
  const account = async (name: string) =>
    kubeconfigOf(name, `system:serviceaccount:${CONTROLLERS_NAMESPACE}:${name}`, [
      'system:serviceaccounts',
      `system:serviceaccounts:${CONTROLLERS_NAMESPACE}`,
    ])
  return {
    controllerManager: manager,
    administrator: await kubeconfigOf('administrator', 'holdfast-administrator', ['system:masters']),
    controllers: await account(CONTROLLERS_ACCOUNT),
    webhooks: await account(WEBHOOKS_ACCOUNT),
  }
}

/** What the API server proves itself to webhooks with. It reads the certificate anew by itself. */
async function prepareAdmission(authority: Authority, folder: string): Promise<void> {
  const { commonName } = webhookCaller
  await loadOrIssue(authority, { folder, name: commonName, commonName, usages: ['Client'] })
  const user = {
    'client-certificate': join(folder, `${commonName}.crt`),
    'client-key': join(folder, `${commonName}.key`),
  }
  // The file must be named by its whole path.
  const kubeConfigFile = join(folder, 'webhooks.kubeconfig')
  const kubeconfig = { apiVersion: 'v1', kind: 'Config', users: [{ name: '*', user }] }
  await writePrivateFile(kubeConfigFile, JSON.stringify(kubeconfig, null, 2))
  const plugins = ['ValidatingAdmissionWebhook', 'MutatingAdmissionWebhook'].map((name) => ({
    name,
    configuration: { apiVersion: CONFIGURATION, kind: 'WebhookAdmissionConfiguration', kubeConfigFile },
  }))
  const configuration = { apiVersion: CONFIGURATION, kind: 'AdmissionConfiguration', plugins }
  await writePrivateFile(join(folder, 'admission.json'), JSON.stringify(configuration, null, 2))
}

async function prepareServiceAccountKeys(folder: string): Promise<void> {
  const stored = await Promise.all(['key', 'pub'].map((end) => readTextFile(join(folder, `service-accounts.${end}`))))
  if (!stored.includes(undefined)) return
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  await writePrivateFile(
    join(folder, 'service-accounts.key'),
    exportPem(privateKey.export({ type: 'pkcs8', format: 'pem' })),
  )
  await writePrivateFile(
    join(folder, 'service-accounts.pub'),
    exportPem(publicKey.export({ type: 'spki', format: 'pem' })),
  )
}

function exportPem(exported: string | Buffer): string {
  return exported.toString()
}

// Secrets are encrypted before they reach etcd's files. The second provider reads what is not encrypted, and writes nothing.
async function prepareEncryption(folder: string, hasData: boolean): Promise<void> {
  const path = join(folder, 'encryption.json')
  if ((await readTextFile(path)) !== undefined) return
  if (hasData) {
    throw new LocalError(
      'KEY_LOST',
      `${path} is missing, and without it the Secrets of this platform cannot be read: put it back from a backup`,
    )
  }
  const secret = randomBytes(32).toString('base64')
  const providers = [{ secretbox: { keys: [{ name: 'key1', secret }] } }, { identity: {} }]
  const configuration = {
    apiVersion: CONFIGURATION,
    kind: 'EncryptionConfiguration',
    resources: [{ resources: ['secrets'], providers }],
  }
  await writePrivateFile(path, JSON.stringify(configuration, null, 2))
}

interface Access {
  readonly name: string
  readonly identity: Identity
  readonly authority: string
  readonly port: number
}

// A kubeconfig is YAML, and JSON is YAML.
function toKubeconfig({ name, identity, authority, port }: Access): string {
  const server = `https://127.0.0.1:${port}`
  const cluster = { server, 'certificate-authority-data': toBase64(authority) }
  const user = { 'client-certificate-data': toBase64(identity.certificate), 'client-key-data': toBase64(identity.key) }
  const configuration = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'holdfast',
    clusters: [{ name: 'holdfast', cluster }],
    users: [{ name, user }],
    contexts: [{ name: 'holdfast', context: { cluster: 'holdfast', user: name } }],
  }
  return `${JSON.stringify(configuration, null, 2)}\n`
}

function toBase64(text: string): string {
  return Buffer.from(text).toString('base64')
}
