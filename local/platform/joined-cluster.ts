import { join } from 'node:path'
import { readTextFile, writePrivateFile } from '../../lib/tls/private-file.ts'
import { LocalError } from '../errors.ts'
import type { Home } from '../home.ts'

/**
 * Throws `HOME_UNUSABLE` where a home belongs to a cluster that exists, and is to be started with a control plane of its
 * own: that one would know none of the machines that the agent has.
 */
export async function refuseOwnControlPlane(home: Pick<Home, 'root'>, kubeconfig: string | undefined): Promise<void> {
  if (kubeconfig !== undefined) return
  const joined = await readTextFile(markOf(home))
  if (joined === undefined) return
  const message =
    `the machines in ${home.root} belong to the cluster of ${joined}: npm start -- --kubeconfig ${joined} starts it; ` +
    `for a platform of its own set HOLDFAST_HOME to another folder, or remove ${markOf(home)} if that cluster is gone`
  throw new LocalError('HOME_UNUSABLE', message)
}

/** Notes which cluster the machines of a home belong to; undefined for that of its own control plane. */
export async function noteCluster(home: Pick<Home, 'root'>, kubeconfig: string | undefined): Promise<void> {
  if (kubeconfig === undefined || (await readTextFile(markOf(home))) === kubeconfig) return
  await writePrivateFile(markOf(home), kubeconfig)
}

function markOf({ root }: Pick<Home, 'root'>): string {
  return join(root, 'joined-cluster')
}
