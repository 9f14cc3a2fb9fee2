import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { isKubeError } from './errors.ts'
import { readKubeconfig } from './kubeconfig.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kubeconfig-'))
})
afterEach(() => rm(folder, { recursive: true }))

async function file(name: string, content: unknown): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

const cluster = { name: 'c', cluster: { server: 'https://host:6443' } }
const context = { name: 'main', context: { cluster: 'c', user: 'u' } }
const user = { name: 'u', user: { token: 'hunter2' } }
const good = { 'current-context': 'main', clusters: [cluster], contexts: [context], users: [user] }

test('a kubeconfig gives its current context, and takes file names as relative to itself', async () => {
  const path = await file('config', {
    ...good,
    clusters: [{ name: 'c', cluster: { ...cluster.cluster, 'certificate-authority': 'pki/ca.crt' } }],
    users: [{ name: 'u', user: { 'client-certificate': 'u.crt', 'client-key': '/keys/u.key', tokenFile: 'token' } }],
  })
  expect(await readKubeconfig([path])).toEqual({
    cluster: { server: 'https://host:6443', 'certificate-authority': join(folder, 'pki/ca.crt') },
    user: {
      'client-certificate': join(folder, 'u.crt'),
      'client-key': '/keys/u.key',
      tokenFile: join(folder, 'token'),
    },
  })
})

test('of several kubeconfigs the first word on anything counts, as with kubectl', async () => {
  const first = await file('first', { 'current-context': '', contexts: [context], clusters: null, users: null })
  const other = { name: 'c', cluster: { server: 'https://other:6443' } }
  const second = await file('second', { ...good, clusters: [other] })
  const third = await file('third', { ...good, 'current-context': 'else' })
  expect(await readKubeconfig([first, second, third])).toEqual({ cluster: other.cluster, user: user.user })
})

test('a context without a user is one of nobody', async () => {
  const path = await file('config', { ...good, contexts: [{ name: 'main', context: { cluster: 'c' } }], users: [] })
  expect((await readKubeconfig([path])).user).toEqual({})
})

test.each([
  ['there is no file', undefined, 'cannot be read; name a file that exists and that you may read'],
  ['it is not YAML', 'token: "hunter2\nusers: [', 'is not YAML; name a file that kubectl accepts'],
  ['it is empty', ' \n', 'has no current context; choose one with'],
  ['it is something else', '- hunter2', 'is not a kubeconfig; name a file that kubectl accepts'],
  [
    'a token is a list',
    { ...good, users: [{ name: 'u', user: { token: ['hunter2'] } }] },
    'look at users.0.user.token',
  ],
  ['a server is no address', { ...good, clusters: [{ name: 'c', cluster: { server: 'host' } }] }, 'clusters.0.cluster'],
  [
    'there is no current context',
    { ...good, 'current-context': '' },
    'choose one with kubectl config use-context NAME',
  ],
  ['the current context is missing', { ...good, contexts: [] }, 'lacks its current context main; choose another one'],
  ['the cluster is missing', { ...good, clusters: null }, 'lacks cluster c of context main; add it'],
])('a kubeconfig says what to do, and nothing secret, when %s', async (_name, content, sentence) => {
  const path = content === undefined ? join(folder, 'none') : await file('config', content)
  const error: unknown = await readKubeconfig([path]).catch((caught: unknown) => caught)
  expect(isKubeError(error, 'BadKubeconfig') && error.message).toSatisfy((message: string) => {
    return message.includes(sentence) && message.includes(path)
  })
  expect(`${String(error)} ${JSON.stringify(error)} ${String((error as Error).cause)}`).not.toContain('hunter2')
})
