import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { Kube } from '../../lib/kube/client.ts'
import { isKubeError } from '../../lib/kube/errors.ts'
import { writePrivateFile } from '../../lib/tls/private-file.ts'
import { LocalError } from '../errors.ts'
import { kubectl, type Kubectl } from '../kubectl.ts'
import { refuseOtherPlatform, type WantedHosts } from './objects.ts'
import { tlsObjection } from './tls-objection.ts'

/** Its CRDs know selectable fields, and its CEL knows quantities. */
const MIN_MINOR = 32
const ANSWER_MS = 10_000
const TOKEN_LIFETIME = '1h'
const RENEWAL_MS = 20 * 60_000

/**
 * Throws `KUBECONFIG_WRONG`, `CLUSTER_UNREACHABLE` or `CLUSTER_UNFIT` where we cannot work with a cluster, or it is
 * another platform's. Writes nothing.
 */
export async function assertClusterFits(kubeconfig: string, hosts: WantedHosts): Promise<void> {
  try {
    await using kube = await Kube.connect(kubeconfig)
    const { body } = await kube.send<{ major: string; minor: string; gitVersion: string }>({
      method: 'GET',
      path: '/version',
      deadlineMs: ANSWER_MS,
    })
    if (Number.parseInt(body.minor, 10) < MIN_MINOR) {
      const message = `the cluster is ${body.gitVersion}, and Holdfast needs 1.${MIN_MINOR} or newer: upgrade it`
      throw new LocalError('CLUSTER_UNFIT', message)
    }
    await refuseOtherPlatform(kube, hosts)
  } catch (error) {
    throw explain(error, kubeconfig)
  }
}

function explain(error: unknown, kubeconfig: string): unknown {
  if (isKubeError(error, 'BadKubeconfig')) return new LocalError('KUBECONFIG_WRONG', error.message, { cause: error })
  if (isKubeError(error, 'Forbidden')) {
    const message = `the user of ${kubeconfig} may not do what this takes (${error.message}): use the kubeconfig of an administrator of the cluster`
    return new LocalError('KUBECONFIG_WRONG', message, { cause: error })
  }
  if (isKubeError(error, 'Unauthorized')) {
    const message = `the cluster does not accept the credentials in ${kubeconfig}: log in again, or use another kubeconfig`
    return new LocalError('KUBECONFIG_WRONG', message, { cause: error })
  }
  const objection = isKubeError(error, 'Unreachable') ? tlsObjection(error.cause, kubeconfig) : undefined
  if (objection !== undefined) return new LocalError('KUBECONFIG_WRONG', objection, { cause: error })
  if (isKubeError(error, 'Unreachable', 'Timeout', 'Other')) {
    const message = `no Kubernetes API answers where ${kubeconfig} says (${error.message}): start the cluster, or use another kubeconfig`
    return new LocalError('CLUSTER_UNREACHABLE', message, { cause: error })
  }
  return error
}

const view = z.object({ clusters: z.tuple([z.object({ cluster: z.looseObject({ server: z.string() }) })]) })

/** The cluster of a kubeconfig, as it stands there, with its certificates inline. */
export async function clusterOf(cluster: Kubectl): Promise<{ readonly server: string }> {
  const flat = await kubectl(cluster, ['config', 'view', '--minify', '--raw', '--flatten', '--output=json'])
  return view.parse(JSON.parse(flat)).clusters[0].cluster
}

export interface LoginOptions {
  /** Service account in holdfast-system. */
  readonly account: string
  readonly folder: string
  readonly say: (line: string) => void
}

/**
 * A kubeconfig with which a process acts as its own service account, and not as whoever started it. The token in it is
 * short-lived and renewed until this is disposed of.
 */
export async function keepLogin(
  cluster: Kubectl,
  { account, folder, say }: LoginOptions,
): Promise<Disposable & { readonly kubeconfig: string }> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const tokenFile = join(folder, `${account}.token`)
  const renew = async () => writePrivateFile(tokenFile, await requestToken(cluster, account))
  await renew()
  const kubeconfig = join(folder, `${account}.kubeconfig`)
  await writePrivateFile(kubeconfig, toKubeconfig(await clusterOf(cluster), account, tokenFile))
  const timer = setInterval(() => {
    renew().catch((error: unknown) => say(`the token of ${account} could not be renewed: ${String(error)}`))
  }, RENEWAL_MS)
  return { kubeconfig, [Symbol.dispose]: () => clearInterval(timer) }
}

async function requestToken(cluster: Kubectl, account: string): Promise<string> {
  const args = ['create', 'token', account, '--namespace=holdfast-system', `--duration=${TOKEN_LIFETIME}`]
  return (await kubectl(cluster, args)).trim()
}

function toKubeconfig(cluster: object, account: string, tokenFile: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'holdfast',
    clusters: [{ name: 'holdfast', cluster }],
    users: [{ name: account, user: { tokenFile } }],
    contexts: [{ name: 'holdfast', context: { cluster: 'holdfast', user: account } }],
  })
}
