import { describe, expect, test } from 'vitest'
import { newAuthority } from '../../lib/tls/authority.ts'
import { assertClusterFits } from './existing-cluster.ts'
import { newApiServer, trusting } from './testing.ts'

const HERE = { storage: '/here/storage' }
const base64 = (text: string) => Buffer.from(text).toString('base64')
const clientOf = (certificate: string, key: string) => ({
  'client-certificate-data': base64(certificate),
  'client-key-data': base64(key),
})

const authority = await newAuthority('cluster')
const other = await newAuthority('another cluster')
const client = await authority.issue({ commonName: 'ann', usages: ['Client'] })
const stranger = await other.issue({ commonName: 'ann', usages: ['Client'] })

describe('a kubeconfig is refused with what is wrong in it', () => {
  const authorityObjection = /certificate authority in .* does not fit the API server, or is missing: get a fresh/
  const clientObjection = /client certificate in .*, or its key, is damaged, .*: get a fresh kubeconfig/
  test.each([
    ['another authority', trusting(other.certificate), {}, authorityObjection],
    ['no authority', {}, {}, authorityObjection],
    ['a broken authority', trusting('garbage'), {}, authorityObjection],
    ['a broken client certificate', trusting(authority.certificate), clientOf('garbage', client.key), clientObjection],
    [
      'the key of another client certificate',
      trusting(authority.certificate),
      clientOf(client.certificate, stranger.key),
      clientObjection,
    ],
  ])('where it has %s', async (_name, cluster, user, message) => {
    await using server = await newApiServer(
      await authority.issue({ commonName: 's', ips: ['127.0.0.1'], usages: ['Server'] }),
    )
    await expect(assertClusterFits(await server.kubeconfig(cluster, user), HERE)).rejects.toMatchObject({
      code: 'KUBECONFIG_WRONG',
      message: expect.stringMatching(message),
    })
  })

  test.each([
    ['is for another address', { ips: ['127.0.0.2'] }, /is not for the address in/],
    ['has expired', { ips: ['127.0.0.1'], lifetimeMs: -60_000 }, /is not valid now: set the clocks right/],
  ])("where the API server's certificate %s", async (_name, request, message) => {
    await using server = await newApiServer(await authority.issue({ commonName: 's', usages: ['Server'], ...request }))
    const kubeconfig = await server.kubeconfig(trusting(authority.certificate), {})
    await expect(assertClusterFits(kubeconfig, HERE)).rejects.toMatchObject({
      code: 'KUBECONFIG_WRONG',
      message: expect.stringMatching(message),
    })
  })

  test.each([
    ['Unauthorized', 401, /does not accept the credentials in .*: log in again, or use another kubeconfig$/],
    ['Forbidden', 403, /may not do what this takes \(no\): use the kubeconfig of an administrator of the cluster$/],
  ])('where the answer is %s', async (reason, code, message) => {
    const identity = await authority.issue({ commonName: 's', ips: ['127.0.0.1'], usages: ['Server'] })
    const path = '/apis/compute.holdfast.dev/v1alpha1/hosts'
    await using server = await newApiServer(identity, { [path]: { kind: 'Status', reason, code, message: 'no' } })
    const kubeconfig = await server.kubeconfig(trusting(authority.certificate), {})
    await expect(assertClusterFits(kubeconfig, HERE)).rejects.toMatchObject({
      code: 'KUBECONFIG_WRONG',
      message: expect.stringMatching(message),
    })
  })
})

test('a kubeconfig that fits is accepted', async () => {
  await using server = await newApiServer(
    await authority.issue({ commonName: 's', ips: ['127.0.0.1'], usages: ['Server'] }),
  )
  const kubeconfig = await server.kubeconfig(trusting(authority.certificate), {})
  await expect(assertClusterFits(kubeconfig, HERE)).resolves.toBeUndefined()
})

test('a kubeconfig whose cluster does not run says to start it', async () => {
  await using server = await newApiServer(client)
  const kubeconfig = await server.kubeconfig({ server: 'https://127.0.0.1:1' }, {})
  await expect(assertClusterFits(kubeconfig, HERE)).rejects.toMatchObject({
    code: 'CLUSTER_UNREACHABLE',
    message: expect.stringContaining('(the API server cannot be reached: ECONNREFUSED): start the cluster'),
  })
})

test.each([2, 3])('a cluster with two simulated hosts fits a platform of %i', async (simulated) => {
  const items = [{ metadata: { name: 'simulated-1' } }, { metadata: { name: 'simulated-2' } }]
  await using server = await newApiServer(
    await authority.issue({ commonName: 's', ips: ['127.0.0.1'], usages: ['Server'] }),
    { '/apis/compute.holdfast.dev/v1alpha1/hosts': { items } },
  )
  const kubeconfig = await server.kubeconfig(trusting(authority.certificate), {})
  await expect(assertClusterFits(kubeconfig, { simulated })).resolves.toBeUndefined()
})
