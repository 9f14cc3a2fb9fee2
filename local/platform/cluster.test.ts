import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { newAuthority } from '../../lib/tls/authority.ts'
import { homeAt } from '../home.ts'
import { openCluster } from './cluster.ts'
import { newApiServer, trusting } from './testing.ts'

const STORAGE = '/apis/storage.holdfast.dev/v1alpha1/datastorages/local'
const HOSTS = '/apis/compute.holdfast.dev/v1alpha1/hosts'
const withHosts = (...names: string[]) => ({ [HOSTS]: { items: names.map((name) => ({ metadata: { name } })) } })

test.each([
  [
    'a platform in another folder',
    { storage: '/here/storage' },
    { ...withHosts('host-1'), [STORAGE]: { spec: { local: { path: '/elsewhere/storage' } } } },
    /^this cluster belongs to another local platform already .*\/elsewhere\/storage/,
  ],
  ['simulated hosts', { storage: '/here/storage' }, withHosts('simulated-1'), /^this platform has simulated hosts/],
  [
    'a real host, where simulated ones are wanted',
    { simulated: 3 },
    withHosts('host-1'),
    /^this platform has the real/,
  ],
  [
    'more simulated hosts than are wanted',
    { simulated: 9 },
    withHosts('simulated-2', 'simulated-10', 'simulated-x', 'other-11'),
    /^this platform has simulated hosts up to simulated-10, and with 9 .* start it with --simulated-hosts 10 or more; or delete their DataStorages and then those Hosts.* HOLDFAST_HOME/,
  ],
])('a cluster of %s is refused before anything is written or said', async (_name, hosts, objects, message) => {
  const authority = await newAuthority('cluster')
  const identity = await authority.issue({ commonName: 's', ips: ['127.0.0.1'], usages: ['Server'] })
  await using server = await newApiServer(identity, objects)
  const root = await mkdtemp(join(tmpdir(), 'hf-cluster-'))
  const said: string[] = []
  try {
    const opening = openCluster({
      home: homeAt(root, {}),
      env: {},
      port: undefined,
      kubeconfig: await server.kubeconfig(trusting(authority.certificate), {}),
      hosts,
      observer: { say: (line) => said.push(line), changed: () => undefined },
      signal: AbortSignal.timeout(10_000),
    })
    await expect(opening).rejects.toMatchObject({ code: 'CLUSTER_UNFIT', message: expect.stringMatching(message) })
    expect(said).toEqual([])
    expect(server.asked.filter((request) => !request.startsWith('GET '))).toEqual([])
  } finally {
    await rm(root, { recursive: true })
  }
})
