import { LocalError } from './errors.ts'
import { runCommand } from './processes/run-command.ts'

export interface Kubectl {
  readonly program: string
  readonly kubeconfig: string
  /** Where it keeps what it learned of the API; not the user's own, which another cluster may have filled. */
  readonly cache: string
  /** What a kubeconfig with an exec plugin may need. */
  readonly env: NodeJS.ProcessEnv
}

const TIMEOUT_MS = 60_000

/**
 * Runs kubectl and returns what it prints. Throws `KUBECONFIG_WRONG` where the user lacks a permission, else
 * `COMMAND_FAILED`, each with its own words.
 */
export async function kubectl(
  { program, kubeconfig, cache, env }: Kubectl,
  args: readonly string[],
  input?: string,
): Promise<string> {
  const { code, stdout, stderr } = await runCommand({
    command: program,
    args: [...args, '--kubeconfig', kubeconfig, '--cache-dir', cache],
    timeoutMs: TIMEOUT_MS,
    env,
    ...(input !== undefined && { input }),
  })
  if (code === 0) return stdout
  const lacking = lackOfPermission(stderr)
  if (lacking === undefined) throw new LocalError('COMMAND_FAILED', `kubectl ${args[0] ?? ''} failed: ${stderr.trim()}`)
  const next = 'use the kubeconfig of an administrator of the cluster'
  throw new LocalError('KUBECONFIG_WRONG', `the user of ${kubeconfig} may not do what this takes (${lacking}): ${next}`)
}

// RBAC has no reason of its own, and kubectl gives no codes. Refusals by admission are Forbidden too, and worded otherwise.
const LACKING = / is forbidden: User ".*" cannot | is attempting to grant RBAC permissions not currently held/

/** The first permission that a user lacks, as kubectl says it. */
function lackOfPermission(stderr: string): string | undefined {
  const [first, ...more] = stderr.split('\n').filter((line) => LACKING.test(line))
  return first !== undefined && more.length > 0 ? `${first} and ${more.length} more` : first
}
