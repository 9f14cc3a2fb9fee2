import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { hostname } from 'node:os'
import { connect } from 'node:net'
import { join } from 'node:path'
import { readTextFile, writePrivateFile } from '../../lib/tls/private-file.ts'
import { LocalError } from '../errors.ts'
import { kubectl, type Kubectl } from '../kubectl.ts'
import type { Home } from '../home.ts'
import type { Observer } from '../processes/supervise.ts'
import { clusterOf, keepLogin } from './existing-cluster.ts'
import { installWebhooks, removeWebhooks } from './install.ts'
import { startWebhooks } from './webhooks.ts'
import { whoServes } from './who-serves.ts'

const ACCOUNT = 'holdfast-webhooks'
const CONNECT_MS = 5_000
const REACHED_WITHIN_MS = 15_000
const SECRET_BYTES = 32

export interface ServeOptions {
  /** For what the webhooks need to be known and to know. It exists, and is private. */
  readonly folder: string
  readonly home: Home
  readonly logLevel: string | undefined
  readonly observer: Observer
}

export interface ServedWebhooks extends AsyncDisposable {
  /** Of 127.0.0.1; undefined where they do not run here. */
  readonly metricsPort: number | undefined
}

/**
 * Runs the webhooks on this machine for a cluster that exists, where its API server can reach them, until they are
 * disposed of. Where it cannot, nothing is installed, and that is said: deletes are not judged then.
 */
export async function serveWebhooks(cluster: Kubectl, options: ServeOptions): Promise<ServedWebhooks> {
  const { folder, home, logLevel, observer } = options
  const { say } = observer
  const servedBy = `${hostname()}:${folder}`
  const other = await otherServer(cluster, servedBy)
  if (other !== undefined) {
    say(`the webhooks of this cluster are served by ${other}, and left to it`)
    return served(new AsyncDisposableStack())
  }
  await using undo = new AsyncDisposableStack()
  const login = undo.use(await keepLogin(cluster, { account: ACCOUNT, folder, say }))
  const address = await addressTowards(await clusterOf(cluster))
  const { pathFile, secret } = await keepSecret(folder)
  const where = { kubeconfig: login.kubeconfig, address, caller: { pathFile } }
  const webhooks = await startWebhooks({ ...where, home, logLevel, observer })
  undo.defer(() => webhooks.stop())
  undo.defer(() => tryRemove(cluster, say))
  try {
    const origin = `${webhooks.origin}/${secret}`
    const unseen = await installWebhooks(cluster, origin, { servedBy, patienceMs: REACHED_WITHIN_MS })
    if (unseen !== undefined) say(withoutSecret(unseen, secret))
  } catch (error) {
    if (!(error instanceof LocalError) || error.code !== 'NOT_READY') throw error
    say(`the API server cannot ask the webhooks on this machine (${address}): ${withoutSecret(error.message, secret)}`)
    say('they are not installed: deletes are not judged, and nothing that is deleted has a name in the record')
    return served(new AsyncDisposableStack())
  }
  return served(undo.move(), webhooks.metricsPort)
}

function served(running: AsyncDisposable, metricsPort?: number): ServedWebhooks {
  return { metricsPort, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() }
}

/** A cluster that does not answer must not keep this machine from stopping. */
async function tryRemove(cluster: Kubectl, say: (line: string) => void): Promise<void> {
  try {
    await removeWebhooks(cluster)
  } catch (error) {
    if (!(error instanceof LocalError)) throw error
    say(`the webhooks could not be taken out of the cluster, which refuses changes of our kinds until the next start,`)
    say(
      `or until kubectl delete validatingwebhookconfiguration,mutatingwebhookconfiguration holdfast: ${error.message}`,
    )
  }
}

/** Who else serves them: another machine, or a Deployment. */
async function otherServer(cluster: Kubectl, servedBy: string): Promise<string | undefined> {
  const args = ['get', 'validatingwebhookconfiguration', 'holdfast', '--ignore-not-found', '--output=json']
  const text = await kubectl(cluster, args)
  const other = text.trim() === '' ? undefined : whoServes(JSON.parse(text))
  return other === servedBy ? undefined : other
}

/** The address of this machine from which it reaches the API server, and where that most likely reaches it. */
async function addressTowards({ server }: { readonly server: string }): Promise<string> {
  const { hostname: host, port } = new URL(server)
  const socket = connect({ host: host.replaceAll(/[[\]]/g, ''), port: Number(port === '' ? 443 : port) })
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(CONNECT_MS) })
    return socket.localAddress ?? ''
  } catch (cause) {
    throw new LocalError('CLUSTER_UNREACHABLE', `no connection to ${server}: see that it is reached without a proxy`, {
      cause,
    })
  } finally {
    socket.destroy()
  }
}

/** The first step of the path by which the API server is known. */
async function keepSecret(folder: string): Promise<{ pathFile: string; secret: string }> {
  const pathFile = join(folder, 'webhooks-path')
  const kept = await readTextFile(pathFile)
  if (kept !== undefined) return { pathFile, secret: kept }
  const secret = randomBytes(SECRET_BYTES).toString('hex')
  await writePrivateFile(pathFile, secret)
  return { pathFile, secret }
}

function withoutSecret(message: string, secret: string): string {
  return message.replaceAll(secret, '…')
}
