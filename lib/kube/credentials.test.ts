import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { FakeClock } from '../queue/testing.ts'
import { CredentialSource } from './credentials.ts'

let folder: string
let clock: FakeClock

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'credentials-'))
  clock = new FakeClock()
})
afterEach(() => rm(folder, { recursive: true }))

async function put(name: string, content: unknown): Promise<string> {
  const path = join(folder, name)
  const draft = `${path}.draft`
  await writeFile(draft, typeof content === 'string' ? content : JSON.stringify(content))
  await rename(draft, path)
  return path
}

function kubeconfig(user: object, cluster: object = {}): object {
  return {
    'current-context': 'main',
    clusters: [{ name: 'c', cluster: { server: 'https://host:6443/prefix/', ...cluster } }],
    contexts: [{ name: 'main', context: { cluster: 'c', user: 'u' } }],
    users: [{ name: 'u', user }],
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

async function sourceOf(user: object, cluster: object = {}): Promise<CredentialSource> {
  return new CredentialSource(await put('config', kubeconfig(user, cluster)), {}, clock)
}

test('credentials say where the server is and how to trust it', async () => {
  const cluster = { 'certificate-authority-data': base64('CA'), 'tls-server-name': 'name', 'proxy-url': 'http://proxy' }
  const source = await sourceOf(
    { 'client-certificate-data': base64('CERT'), 'client-key-data': base64('KEY') },
    cluster,
  )
  expect(await source.get()).toEqual({
    origin: 'https://host:6443',
    prefix: '/prefix',
    proxy: 'http://proxy',
    tls: { ca: 'CA', cert: 'CERT', key: 'KEY', servername: 'name', rejectUnauthorized: true },
    headers: {},
  })
})

test.each([
  ['a token', { token: 't' }, { authorization: 'Bearer t' }],
  ['a password', { username: 'u', password: 'p' }, { authorization: `Basic ${base64('u:p')}` }],
  [
    'impersonation',
    { as: 'a', 'as-uid': 'i', 'as-groups': ['g', 'h'], 'as-user-extra': { 'x/y': ['z'] } },
    {
      'impersonate-user': 'a',
      'impersonate-uid': 'i',
      'impersonate-group': ['g', 'h'],
      'impersonate-extra-x%2Fy': ['z'],
    },
  ],
])('credentials of %s are headers', async (_name, user, headers) => {
  expect((await (await sourceOf(user)).get()).headers).toEqual(headers)
})

test('a token that was renewed is used within ten seconds, and files that did not change give the same object', async () => {
  await put('token', 'first\n')
  const source = await sourceOf({ tokenFile: 'token' })
  const first = await source.get()
  expect(first.headers).toEqual({ authorization: 'Bearer first' })
  await clock.advance(10_000)
  expect(await source.get()).toBe(first)

  await put('token', 'second')
  await clock.advance(9_999)
  expect(await source.get()).toBe(first)
  await clock.advance(1)
  expect((await source.get()).headers).toEqual({ authorization: 'Bearer second' })
})

test('credentials that the server refused are read again at once', async () => {
  const source = await sourceOf({ token: 'first' })
  await source.get()
  await put('config', kubeconfig({ token: 'second' }))
  expect((await source.get()).headers).toEqual({ authorization: 'Bearer first' })
  source.invalidate()
  expect((await source.get()).headers).toEqual({ authorization: 'Bearer second' })
})

test.each(['token', 'config'])(
  'the last credentials count while %s is missing, and then the new ones',
  async (name) => {
    await put('token', 'first')
    const source = await sourceOf({ tokenFile: 'token' })
    const first = await source.get()
    await rm(join(folder, name))
    await clock.advance(10_000)
    expect(await source.get()).toBe(first)
    await put('token', 'second')
    await put('config', kubeconfig({ tokenFile: 'token' }))
    await clock.advance(10_000)
    expect((await source.get()).headers).toEqual({ authorization: 'Bearer second' })
  },
)

test('a file that the kubeconfig names and that is not there is named', async () => {
  const source = await sourceOf({ 'client-certificate': 'u.crt' })
  await expect(source.get()).rejects.toMatchObject({
    code: 'BadKubeconfig',
    message: `${join(folder, 'u.crt')}, which the kubeconfig names, cannot be read; put it there`,
  })
})

test('a login program that is not installed is named', async () => {
  const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: '/no/such/login', interactiveMode: 'Never' }
  await expect((await sourceOf({ exec })).get()).rejects.toMatchObject({
    code: 'BadKubeconfig',
    message: expect.stringContaining('/no/such/login of the kubeconfig is not installed'),
  })
})

test('KUBECONFIG names several files, of which those that are missing do not matter', async () => {
  const path = await put('config', kubeconfig({ token: 't' }))
  const source = new CredentialSource(undefined, { KUBECONFIG: ['/no/such', path, ''].join(delimiter) }, clock)
  expect((await source.get()).headers).toEqual({ authorization: 'Bearer t' })
  const none = new CredentialSource(undefined, { KUBECONFIG: '/no/such' }, clock)
  await expect(none.get()).rejects.toMatchObject({ code: 'BadKubeconfig' })
})

test('credentials are read once when many ask at the same time', async () => {
  const source = await sourceOf({ token: 't' })
  const [first, ...others] = await Promise.all(Array.from({ length: 5 }, () => source.get()))
  expect(others.every((other) => other === first)).toBe(true)
})
