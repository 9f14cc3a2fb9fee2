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

/** Runs kubectl and returns what it prints. Throws `COMMAND_FAILED` with its own words. */
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
  throw new LocalError('COMMAND_FAILED', `kubectl ${args[0] ?? ''} failed: ${stderr.trim()}`)
}
