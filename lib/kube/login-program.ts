import { KubeError } from './errors.ts'
import type { User } from './kubeconfig.ts'

const TIMEOUT_MS = 30_000

/** What a login program gave: headers, or a certificate and its key (PEM). */
export interface Answer {
  readonly headers: Record<string, string>
  readonly cert?: string
  readonly key?: string
}
/** Throws KubeError: BadKubeconfig where the program is missing or fails, Timeout where it takes too long. */
export type Authenticate = () => Promise<Answer>

/** Login programs (`exec`) and cloud providers. client-node knows them, and takes a second and 60 MB to load. */
export async function loginOf(user: User): Promise<Authenticate> {
  const { KubeConfig } = await import('@kubernetes/client-node')
  const config = new KubeConfig()
  const { exec, 'auth-provider': authProvider } = user
  config.loadFromClusterAndUser(
    { name: 'cluster', server: 'https://unused', skipTLSVerify: false },
    { name: 'user', exec, authProvider },
  )
  return async () => {
    const options: { headers: Record<string, string>; cert?: string; key?: string } = { headers: {} }
    const applied = config.applyToHTTPSOptions(options).catch((error: unknown) => {
      throw explain(error, user)
    })
    await Promise.race([applied, tooLate()])
    const { headers, cert, key } = options
    return { headers, ...(cert !== undefined && { cert }), ...(key !== undefined && { key }) }
  }
}

/** The cause is left out on purpose: it could quote what the program printed, which is a credential. */
function explain(error: unknown, user: User): KubeError {
  const program = commandOf(user.exec)
  if (program === undefined) {
    const message = 'the login with the auth-provider of the kubeconfig fails; use a kubeconfig with a login program'
    return new KubeError('BadKubeconfig', message)
  }
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const what = `the login program ${program} of the kubeconfig`
  if (code === 'ENOENT') {
    return new KubeError('BadKubeconfig', `${what} is not installed; install it, or use another kubeconfig`)
  }
  if (code === 'EACCES') {
    return new KubeError('BadKubeconfig', `${what} may not be run; make it executable, or use another kubeconfig`)
  }
  return new KubeError('BadKubeconfig', `${what} fails; run it by hand to see why, or use another kubeconfig`)
}

function commandOf(exec: unknown): string | undefined {
  if (typeof exec !== 'object' || exec === null) return undefined
  return 'command' in exec && typeof exec.command === 'string' ? exec.command : '(no command)'
}

async function tooLate(): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  const error = new KubeError('Timeout', `the kubeconfig's login program took over ${TIMEOUT_MS / 1000} s`)
  setTimeout(() => reject(error), TIMEOUT_MS).unref()
  return promise
}
