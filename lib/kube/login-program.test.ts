import { expect, test } from 'vitest'
import { loginOf } from './login-program.ts'

const exec = (command: string, ...args: string[]) => ({
  exec: { apiVersion: 'client.authentication.k8s.io/v1', command, args, interactiveMode: 'Never' },
})

test.each([
  ['is not installed', exec('/no/such/login'), 'the login program /no/such/login of the kubeconfig is not installed'],
  ['may not be run', exec('/etc'), 'the login program /etc of the kubeconfig may not be run'],
  ['fails', exec('/bin/false'), 'the login program /bin/false of the kubeconfig fails'],
  ['has no name', { exec: {} }, 'the login program (no command) of the kubeconfig fails'],
])('a login program that %s is named, with what to do', async (_name, user, message) => {
  const login = await loginOf(user)
  await expect(login()).rejects.toMatchObject({
    code: 'BadKubeconfig',
    message: expect.stringMatching(`^${RegExp.escape(message)}; .*use another kubeconfig$`),
  })
})

test('what a login program prints is quoted nowhere, for it is a credential', async () => {
  const login = await loginOf(exec('/bin/echo', 'SECRET'))
  const error: unknown = await login().catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'BadKubeconfig' })
  expect(error).not.toHaveProperty('cause')
  expect(String(error)).not.toContain('SECRET')
})
