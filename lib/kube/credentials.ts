import { access, readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import type { Clock } from '../clock.ts'
import { KubeError } from './errors.ts'
import { readKubeconfig, type Context, type User } from './kubeconfig.ts'
import { loginOf, type Authenticate } from './login-program.ts'

export interface Tls {
  readonly ca: string | undefined
  readonly cert: string | undefined
  readonly key: string | undefined
  readonly servername: string | undefined
  readonly rejectUnauthorized: boolean
}

/** How to reach the API server, and as whom. */
export interface Credentials {
  readonly origin: string
  /** What comes before every path, without a slash at its end; '' as a rule. */
  readonly prefix: string
  readonly proxy: string | undefined
  readonly tls: Tls
  readonly headers: Readonly<Record<string, string | string[]>>
}

/** Environment variables that say where the API server is: KUBECONFIG, KUBERNETES_SERVICE_HOST and _PORT. */
export type Environment = Readonly<Record<string, string | undefined>>

const CHECK_MS = 10_000
const POD_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount'

/**
 * Current credentials at hardly any cost. The files behind them are looked at every ten seconds and read again when
 * they changed, so renewed tokens and certificates are picked up. While they cannot be read, the last ones count:
 * somebody may be replacing them, and the API server is the judge of their age.
 */
export class CredentialSource {
  readonly #kubeconfig: string | undefined
  readonly #environment: Environment
  readonly #clock: Clock
  #current: { readonly credentials: Credentials; readonly files: readonly string[]; readonly print: string } | undefined
  #checkedAt = -Infinity
  #checking: Promise<Credentials> | undefined
  #login: Authenticate | undefined
  #refused = false

  constructor(kubeconfig: string | undefined, environment: Environment, clock: Clock) {
    this.#kubeconfig = kubeconfig
    this.#environment = environment
    this.#clock = clock
  }

  async get(): Promise<Credentials> {
    if (this.#current && this.#clock.monotonicMs() - this.#checkedAt < CHECK_MS) return this.#current.credentials
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined
    })
    return this.#checking
  }

  /** Reads everything again at the next call: the API server did not accept what it was given. */
  invalidate(): void {
    this.#checkedAt = -Infinity
    this.#login = undefined
    this.#refused = true
  }

  async #check(): Promise<Credentials> {
    const last = this.#current
    try {
      // Before reading, so that a change in between is seen the next time.
      const print = last ? await fingerprint(last.files) : ''
      const changed = print !== last?.print || this.#refused || this.#login !== undefined
      if (changed) this.#current = await this.#read()
      this.#refused = false
    } catch (error) {
      if (!last) throw error
    }
    this.#checkedAt = this.#clock.monotonicMs()
    if (!this.#current) throw new KubeError('Other', 'there are no credentials')
    return this.#current.credentials
  }

  async #read() {
    const { files, context } = await this.#locate()
    const used = [...files, ...filesOf(context)]
    const print = await fingerprint(used)
    const credentials = await toCredentials(context, await this.#authenticator(context))
    return { credentials, files: used, print }
  }

  async #locate(): Promise<{ files: readonly string[]; context: Context }> {
    const files = await kubeconfigFiles(this.#kubeconfig, this.#environment)
    return files.length > 0 ? { files, context: await readKubeconfig(files) } : podContext(this.#environment)
  }

  async #authenticator({ user }: Context): Promise<Authenticate | undefined> {
    if (user.exec === undefined && user['auth-provider'] === undefined) return undefined
    this.#login ??= await loginOf(user)
    return this.#login
  }
}

async function kubeconfigFiles(kubeconfig: string | undefined, environment: Environment): Promise<string[]> {
  if (kubeconfig !== undefined) return [kubeconfig]
  const listed = environment['KUBECONFIG']?.split(delimiter).filter((name) => name !== '') ?? []
  if (listed.length > 0) {
    const present = await Promise.all(listed.map(exists))
    // As kubectl does, unless there is none: then the error names them.
    return present.includes(true) ? listed.filter((_, index) => present[index]) : listed
  }
  const ordinary = join(homedir(), '.kube', 'config')
  return (await exists(ordinary)) ? [ordinary] : []
}

/** A pod's own service account. */
async function podContext(environment: Environment): Promise<{ files: readonly string[]; context: Context }> {
  if (!(await exists(join(POD_FOLDER, 'token')))) {
    throw new KubeError('BadKubeconfig', 'no cluster is known here; name a kubeconfig file with --kubeconfig FILE')
  }
  const host = environment['KUBERNETES_SERVICE_HOST'] ?? 'kubernetes.default.svc'
  const server = `https://${host.includes(':') ? `[${host}]` : host}:${environment['KUBERNETES_SERVICE_PORT'] ?? '443'}`
  const cluster = { server, 'certificate-authority': join(POD_FOLDER, 'ca.crt') }
  const user = { tokenFile: join(POD_FOLDER, 'token') }
  return { files: [], context: { cluster, user } }
}

function filesOf({ cluster, user }: Context): string[] {
  const files = [cluster['certificate-authority'], user['client-certificate'], user['client-key'], user.tokenFile]
  return files.filter((file) => file !== undefined)
}

async function fingerprint(files: readonly string[]): Promise<string> {
  // What reads a file that is missing says so better.
  const stats = await Promise.all(files.map((file) => stat(file).catch(() => undefined)))
  return stats.map((found) => (found ? `${found.ino}:${found.size}:${found.mtimeMs}` : 'none')).join(' ')
}

async function toCredentials({ cluster, user }: Context, authenticate?: Authenticate): Promise<Credentials> {
  const url = new URL(cluster.server)
  const answer = await authenticate?.()
  const [ca, cert, key] = await Promise.all([
    content(cluster['certificate-authority-data'], cluster['certificate-authority']),
    answer?.cert ?? content(user['client-certificate-data'], user['client-certificate']),
    answer?.key ?? content(user['client-key-data'], user['client-key']),
  ])
  return {
    origin: url.origin,
    prefix: url.pathname.replace(/\/+$/, ''),
    proxy: cluster['proxy-url'],
    tls: {
      ca,
      cert,
      key,
      servername: cluster['tls-server-name'],
      rejectUnauthorized: cluster['insecure-skip-tls-verify'] !== true,
    },
    headers: { ...(await authorization(user)), ...answer?.headers, ...impersonation(user) },
  }
}

async function content(base64: string | undefined, file: string | undefined): Promise<string | undefined> {
  if (base64 !== undefined) return Buffer.from(base64, 'base64').toString('utf8')
  return file === undefined ? undefined : read(file)
}

async function read(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((cause: unknown) => {
    throw new KubeError('BadKubeconfig', `${file}, which the kubeconfig names, cannot be read; put it there`, { cause })
  })
}

async function authorization(user: User): Promise<Record<string, string>> {
  const token = user.tokenFile === undefined ? user.token : (await read(user.tokenFile)).trim()
  if (token !== undefined) return { authorization: `Bearer ${token}` }
  if (user.username === undefined) return {}
  const pair = Buffer.from(`${user.username}:${user.password ?? ''}`).toString('base64')
  return { authorization: `Basic ${pair}` }
}

function impersonation(user: User): Record<string, string | string[]> {
  const extra = Object.entries(user['as-user-extra'] ?? {})
  return {
    ...(user.as !== undefined && { 'impersonate-user': user.as }),
    ...(user['as-uid'] !== undefined && { 'impersonate-uid': user['as-uid'] }),
    ...(user['as-groups'] && { 'impersonate-group': user['as-groups'] }),
    ...Object.fromEntries(extra.map(([key, values]) => [`impersonate-extra-${encodeURIComponent(key)}`, values])),
  }
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  )
}
