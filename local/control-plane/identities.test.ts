import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readKubeconfig } from '../../lib/kube/kubeconfig.ts'
import { writePrivateFile } from '../../lib/tls/private-file.ts'
import { prepareIdentities } from './identities.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'identities-'))
})
afterEach(() => rm(folder, { recursive: true }))

const prepare = (hasData = false, port = 6443) => prepareIdentities({ folder, port, hasData })
const text = (name: string) => readFile(join(folder, name), 'utf8')

async function subjectOf(kubeconfig: string): Promise<unknown> {
  const path = join(folder, 'some.kubeconfig')
  await writePrivateFile(path, kubeconfig)
  const { cluster, user } = await readKubeconfig([path])
  const decode = (base64 = '') => Buffer.from(base64, 'base64')
  const certificate = new X509Certificate(decode(user['client-certificate-data']))
  const ca = new X509Certificate(decode(cluster['certificate-authority-data']))
  expect(certificate.verify(ca.publicKey)).toBe(true)
  expect(certificate.checkPrivateKey(createPrivateKey(decode(user['client-key-data'])))).toBe(true)
  return [cluster.server, ...certificate.subject.split('\n')]
}

test('each who talks to the server is somebody, and only the administrator may do everything', async () => {
  const { administrator, controllers } = await prepare()
  const address = 'https://127.0.0.1:6443'
  expect(await subjectOf(administrator)).toEqual([address, 'O=system:masters', 'CN=holdfast-administrator'])
  expect(await subjectOf(controllers)).toEqual([
    address,
    'O=system:serviceaccounts',
    'O=system:serviceaccounts:holdfast-system',
    'CN=system:serviceaccount:holdfast-system:holdfast-controllers',
  ])
  const manager = await text('kube-controller-manager.kubeconfig')
  expect(await subjectOf(manager)).toEqual([address, 'CN=system:kube-controller-manager'])
})

test('keys are found again, and are for their owner alone', async () => {
  const first = await prepare()
  const encryption = await text('encryption.json')
  const second = await prepare(true)
  expect(second).toEqual(first)
  expect(await text('encryption.json')).toBe(encryption)
  const names = await readdir(folder)
  expect(names).toContain('kube-apiserver.key')
  for (const name of names) expect([name, (await stat(join(folder, name))).mode & 0o777]).toEqual([name, 0o600])
  expect((await prepare(true, 7443)).administrator).toContain('https://127.0.0.1:7443')
})

test('Secrets are encrypted with a key of 32 bytes, and what is not encrypted can still be read', async () => {
  await prepare()
  const { resources } = JSON.parse(await text('encryption.json')) as {
    resources: { resources: string[]; providers: Record<string, { keys?: { secret: string }[] }>[] }[]
  }
  expect(resources.map((entry) => [entry.resources, entry.providers.flatMap(Object.keys)])).toEqual([
    [['secrets'], ['secretbox', 'identity']],
  ])
  const secret = resources[0]?.providers[0]?.['secretbox']?.keys?.[0]?.secret ?? ''
  expect(Buffer.from(secret, 'base64')).toHaveLength(32)
})

test('a lost encryption key is an error while there is data that needs it', async () => {
  await prepare()
  await rm(join(folder, 'encryption.json'))
  await expect(prepare(true)).rejects.toMatchObject({
    code: 'KEY_LOST',
    message: expect.stringMatching(/encryption.json is missing.*put it back from a backup$/),
  })
  await expect(text('encryption.json')).rejects.toMatchObject({ code: 'ENOENT' })
  await prepare(false)
})

test.each(['key', 'pub'])('the pair of keys for service accounts is made anew when its .%s is lost', async (end) => {
  await prepare()
  await rm(join(folder, `service-accounts.${end}`))
  await prepare(true)
  const own = createPublicKey(await text('service-accounts.key')).export({ type: 'spki', format: 'pem' })
  expect(await text('service-accounts.pub')).toBe(own)
})
