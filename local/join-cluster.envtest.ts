import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startControlPlane } from './control-plane/control-plane.ts'
import { findPrograms } from './control-plane/programs.ts'
import { kubectl } from './kubectl.ts'
import { runCommand } from './processes/run-command.ts'

const MAIN = join(import.meta.dirname, 'main.ts')
const { env } = process

async function newFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'hf-join-'))
  await chmod(path, 0o711)
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

test('npm start joins a cluster that exists, acts there as its service account alone, and leaves its objects', async () => {
  await using clusterFolder = await newFolder()
  await using home = await newFolder()
  const programs = await findPrograms({ env, say: () => undefined })
  const observer = { say: () => undefined, changed: () => undefined }
  const options = { folder: clusterFolder.path, durable: false, programs, env, observer }
  const controlPlane = await startControlPlane(options)
  await using undo = new AsyncDisposableStack()
  undo.defer(() => controlPlane.stop())
  const { kubeconfig } = controlPlane
  const cluster = { program: programs.kubectl, kubeconfig, cache: join(home.path, 'cache'), env }
  const local = async (...args: string[]) =>
    runCommand({
      command: process.execPath,
      args: [MAIN, ...args],
      env: { ...env, HOLDFAST_HOME: home.path },
      timeoutMs: 120_000,
    })

  const started = await local('start', '--detach', '--kubeconfig', kubeconfig)
  undo.defer(async () => void (await local('stop')))
  expect(started).toMatchObject({ code: 0, stdout: expect.stringContaining(`export KUBECONFIG=${kubeconfig}`) })
  expect(await kubectl(cluster, ['get', 'hfvm', 'hello'])).toMatch(/hello +Running +True/)
  const login = await readFile(join(home.path, 'pki', 'cluster', 'holdfast-controllers.kubeconfig'), 'utf8')
  expect(JSON.parse(login)).toMatchObject({ users: [{ user: { tokenFile: expect.stringContaining(home.path) } }] })

  const configurations = ['get', 'validatingwebhookconfiguration,mutatingwebhookconfiguration', '--output=name']
  expect((await kubectl(cluster, configurations)).split('\n').filter(isOurs)).toHaveLength(2)
  const asked = await runCommand({
    command: programs.kubectl,
    args: ['delete', 'hfvm', 'hello', '--dry-run=server', '--kubeconfig', kubeconfig],
    env,
    timeoutMs: 10_000,
  })
  expect(asked.stderr).toContain('is stopped and put into the recycle bin')

  expect(await local('stop')).toMatchObject({ code: 0 })
  expect((await kubectl(cluster, configurations)).split('\n').filter(isOurs)).toEqual([])
  expect(await kubectl(cluster, ['get', 'hfvm', '--output=name'])).toBe('virtualmachine.compute.holdfast.dev/hello\n')

  // A rule that refuses what is tried at a start says nothing about us.
  await kubectl(
    cluster,
    ['apply', '--filename', '-'],
    JSON.stringify({ apiVersion: 'v1', kind: 'List', items: teamsRule }),
  )
  await expect
    .poll(async () => kubectl(cluster, tryDisk, diskText).catch(String), { timeout: 30_000 })
    .toContain('label it with team')
  expect(await local('start', '--detach', '--kubeconfig', kubeconfig)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/could not be seen whether the webhooks work, for a rule .*label it with team/),
  })
  expect((await kubectl(cluster, configurations)).split('\n').filter(isOurs)).toHaveLength(2)
}, 180_000)

const ADMISSION = { apiVersion: 'admissionregistration.k8s.io/v1', metadata: { name: 'teams' } }
const teamsRule = [
  {
    ...ADMISSION,
    kind: 'ValidatingAdmissionPolicy',
    spec: {
      failurePolicy: 'Fail',
      matchConstraints: {
        resourceRules: [
          { apiGroups: ['*'], apiVersions: ['*'], operations: ['CREATE'], resources: ['virtualmachines', 'disks'] },
        ],
      },
      validations: [
        {
          expression: "has(object.metadata.labels) && 'team' in object.metadata.labels",
          message: 'label it with team',
        },
      ],
    },
  },
  {
    ...ADMISSION,
    kind: 'ValidatingAdmissionPolicyBinding',
    spec: { policyName: 'teams', validationActions: ['Deny'] },
  },
]
const tryDisk = ['create', '--dry-run=server', '--filename', '-']
const diskText = JSON.stringify({
  apiVersion: 'storage.holdfast.dev/v1alpha1',
  kind: 'Disk',
  metadata: { name: 'tried', namespace: 'default' },
  spec: { size: '1Gi' },
})

function isOurs(name: string): boolean {
  return name.endsWith('/holdfast')
}
