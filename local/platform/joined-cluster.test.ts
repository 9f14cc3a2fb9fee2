import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { homeAt } from '../home.ts'
import { noteCluster, refuseOwnControlPlane } from './joined-cluster.ts'
import { runPlatform } from './run.ts'

let root: string

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'hf-joined-'))
})
afterEach(() => rm(root, { recursive: true }))

test('a home of a cluster that exists is started with that one or another, and with no control plane of its own', async () => {
  await noteCluster({ root }, '/one')
  await noteCluster({ root }, '/two')
  await expect(refuseOwnControlPlane({ root }, '/three')).resolves.toBeUndefined()
  await expect(refuseOwnControlPlane({ root }, undefined)).rejects.toMatchObject({
    code: 'HOME_UNUSABLE',
    message: expect.stringMatching(
      `^the machines in ${root} belong to the cluster of /two: npm start -- --kubeconfig /two starts it; .* HOLDFAST_HOME .* remove ${root}/joined-cluster`,
    ),
  })
})

test('a home with a control plane of its own is started again, and has no note', async () => {
  await noteCluster({ root }, undefined)
  await expect(refuseOwnControlPlane({ root }, undefined)).resolves.toBeUndefined()
  expect(await readdir(root)).toEqual([])
})

test('npm start of a home of a cluster that exists is refused without --kubeconfig', async () => {
  await noteCluster({ root }, '/one')
  const never = new AbortController().signal
  const starting = runPlatform(
    {
      home: homeAt(root, {}),
      env: { KUBEBUILDER_ASSETS: '/no/such/folder' }, // So that it would not get far.
      port: undefined,
      agentPort: undefined,
      kubeconfig: undefined,
      controllers: 1,
      simulated: { count: 1, startMs: 0 },
    },
    { say: () => undefined, ready: () => Promise.resolve(), stop: never, hurry: never, keepsGuests: () => false },
  )
  await expect(starting).rejects.toThrow('belong to the cluster of /one')
})
