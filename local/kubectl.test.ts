import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { kubectl } from './kubectl.ts'

/** What kubectl fails with, where it says this on its standard error. */
async function failureOf(stderr: string): Promise<unknown> {
  const folder = await mkdtemp(join(tmpdir(), 'hf-kubectl-'))
  const program = join(folder, 'kubectl')
  try {
    await writeFile(join(folder, 'stderr'), stderr)
    await writeFile(program, `#!/bin/sh\ncat ${join(folder, 'stderr')} >&2\nexit 1\n`)
    await chmod(program, 0o755)
    await kubectl({ program, kubeconfig: '/k', cache: folder, env: { PATH: '/usr/bin:/bin' } }, ['apply'])
    return undefined
  } catch (error) {
    return error
  } finally {
    await rm(folder, { recursive: true })
  }
}

const REFUSED =
  'Error from server (Forbidden): rolebindings.rbac.authorization.k8s.io "x" is forbidden: User "ann" cannot patch resource "rolebindings" in API group "rbac.authorization.k8s.io" in the namespace "holdfast-system"'

test.each([
  ['cannot do what it takes', `${REFUSED}\n`, `(${REFUSED})`],
  ['cannot do much of what it takes', `${REFUSED}\n${REFUSED}\n${REFUSED}\n`, `(${REFUSED} and 2 more)`],
  [
    'would give permissions that it has not',
    'roles "x" is forbidden: user "ann" (groups=["a"]) is attempting to grant RBAC permissions not currently held:\n',
    'not currently held:)',
  ],
])("a kubeconfig whose user %s is said to be not an administrator's", async (_name, stderr, quoted) => {
  const error = await failureOf(stderr)
  expect(error).toMatchObject({
    code: 'KUBECONFIG_WRONG',
    message: expect.stringMatching(/^the user of \/k may not do what this takes .*: use the kubeconfig of an administ/),
  })
  expect(String(error)).toContain(quoted)
})

test.each([
  'the connection was refused',
  'Error from server (Forbidden): admission webhook "x" denied the request: no',
])('kubectl fails with its own words: %s', async (stderr) => {
  expect(await failureOf(stderr)).toMatchObject({
    code: 'COMMAND_FAILED',
    message: `kubectl apply failed: ${stderr}`,
  })
})
