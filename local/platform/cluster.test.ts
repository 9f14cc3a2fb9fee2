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

test.each([
  [
    'a platform in another folder',
    { [`${HOSTS}/host-1`]: {}, [STORAGE]: { spec: { local: { path: '/elsewhere/storage' } } } },
    /^this cluster belongs to another local platform already .*\/elsewhere\/storage/,
  ],
  ['simulated hosts', { [`${HOSTS}/simulated-1`]: {} }, /^this platform has simulated hosts/],
])('a cluster of %s is refused before anything is written or said', async (_name, objects, message) => {
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
      isSimulated: false,
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
