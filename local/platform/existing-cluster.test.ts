import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { newAuthority, type Identity } from '../../lib/tls/authority.ts'
import { assertClusterFits } from './existing-cluster.ts'

interface Server extends AsyncDisposable {
  /** A kubeconfig that names this server. */
  kubeconfig(cluster: object, user: object): Promise<string>
}

/** Answers as an API server does that is asked for its version. */
async function newServer({ certificate: cert, key }: Identity): Promise<Server> {
  const folder = await mkdtemp(join(tmpdir(), 'hf-existing-'))
  const server = createServer({ cert, key }, (_request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ major: '1', minor: '36', gitVersion: 'v1.36.0' }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  return {
    async kubeconfig(cluster, user) {
      const path = join(folder, 'kubeconfig')
      const config = {
        'current-context': 'main',
        clusters: [{ name: 'c', cluster: { server: `https://127.0.0.1:${port}`, ...cluster } }],
        contexts: [{ name: 'main', context: { cluster: 'c', user: 'u' } }],
        users: [{ name: 'u', user }],
      }
      await writeFile(path, JSON.stringify(config))
      return path
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await rm(folder, { recursive: true })
    },
  }
}

const base64 = (text: string) => Buffer.from(text).toString('base64')
const trusting = (certificate: string) => ({ 'certificate-authority-data': base64(certificate) })
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
    await using server = await newServer(
      await authority.issue({ commonName: 's', ips: ['127.0.0.1'], usages: ['Server'] }),
    )
    await expect(assertClusterFits(await server.kubeconfig(cluster, user))).rejects.toMatchObject({
      code: 'KUBECONFIG_WRONG',
      message: expect.stringMatching(message),
    })
  })

  test.each([
    ['is for another address', { ips: ['127.0.0.2'] }, /is not for the address in/],
    ['has expired', { ips: ['127.0.0.1'], lifetimeMs: -60_000 }, /is not valid now: set the clocks right/],
  ])("where the API server's certificate %s", async (_name, request, message) => {
    await using server = await newServer(await authority.issue({ commonName: 's', usages: ['Server'], ...request }))
    await expect(assertClusterFits(await server.kubeconfig(trusting(authority.certificate), {}))).rejects.toMatchObject(
      { code: 'KUBECONFIG_WRONG', message: expect.stringMatching(message) },
    )
  })
})

test('a kubeconfig that fits is accepted', async () => {
  await using server = await newServer(
    await authority.issue({ commonName: 's', ips: ['127.0.0.1'], usages: ['Server'] }),
  )
  const kubeconfig = await server.kubeconfig(trusting(authority.certificate), {})
  await expect(assertClusterFits(kubeconfig)).resolves.toBeUndefined()
})

test('a kubeconfig whose cluster does not run says to start it', async () => {
  await using server = await newServer(client)
  const kubeconfig = await server.kubeconfig({ server: 'https://127.0.0.1:1' }, {})
  await expect(assertClusterFits(kubeconfig)).rejects.toMatchObject({
    code: 'CLUSTER_UNREACHABLE',
    message: expect.stringContaining('(the API server cannot be reached: ECONNREFUSED): start the cluster'),
  })
})
