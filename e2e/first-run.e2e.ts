import { readdir, readFile, stat } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  eventually,
  isReady,
  newPlatform,
  qemus,
  run,
  SAMPLES,
  type Platform,
  type Result,
} from './testing/platform.ts'

const IDLE_MS = 60_000
const programs = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'controllers', 'agent']
const kinds = ['virtualmachines', 'disks', 'images', 'hosts', 'datastorages', 'platformsettings']

describe('npm start on a machine where nothing was prepared', () => {
  let platform: Platform
  let started: Result

  beforeAll(async () => {
    platform = await newPlatform()
    started = await platform.start()
  }, 300_000)
  afterAll(async () => platform[Symbol.asyncDispose](), 120_000)

  test('runs a virtual machine whose guest boots, and says what to try next', async () => {
    expect(started).toMatchObject({ code: 0, stdout: expect.stringContaining('export KUBECONFIG=') })
    expect(await platform.get('virtualmachines', 'hello')).toSatisfy(isReady)
    await eventually(async () => (await platform.serialLog('hello')).includes('holdfast-guest: booted'))
  })

  test('is reachable from this machine alone', async () => {
    const pids = new Set(await Promise.all(programs.map((name) => platform.pid(name))))
    const { stdout } = await run(
      'ss',
      ['--listening', '--tcp', '--udp', '--numeric', '--processes', '--no-header'],
      process.env,
    )
    const ours = stdout
      .split('\n')
      .filter((line) => [...line.matchAll(/pid=(\d+)/g)].some(([, pid]) => pids.has(Number(pid))))
    expect(ours.length).toBeGreaterThanOrEqual(2)
    expect(ours.filter((line) => !line.includes(' 127.0.0.1:'))).toEqual([])
  })

  test('lets nobody in without credentials, and keeps its keys to their owner', async () => {
    const server = /server": "([^"]+)"/.exec(await readFile(platform.kubeconfig, 'utf8'))?.[1] ?? ''
    expect(await statusWithoutCredentials(`${server}/api`)).toBe(401)
    const keys = await filesBelow(join(platform.home, 'pki'))
    expect(keys.length).toBeGreaterThan(10)
    const open = await Promise.all(
      [...keys, platform.kubeconfig].map(async (path) => ({ path, mode: (await stat(path)).mode & 0o077 })),
    )
    expect(open.filter(({ mode }) => mode !== 0)).toEqual([])
  })

  test('encrypts Secrets before they reach a disk', async () => {
    const canary = 'canary-4f1c2b9d8e7a'
    await platform.kubectl('create', 'secret', 'generic', 'canary', `--from-literal=password=${canary}`)
    const files = await filesBelow(platform.home)
    const forms = [canary, Buffer.from(canary).toString('base64')]
    const leaks = await Promise.all(
      files.map(async (path) => {
        const content = await readFile(path, 'latin1')
        return forms.some((form) => content.includes(form)) ? [path] : []
      }),
    )
    expect(leaks.flat()).toEqual([])
    const read = await platform.kubectl('get', 'secret', 'canary', '--output=jsonpath={.data.password}')
    expect(Buffer.from(read.stdout, 'base64').toString()).toBe(canary)
  })

  test('brings every sample to Ready; a second apply changes nothing, and then nobody writes', async () => {
    expect(await platform.kubectl('apply', '--filename', SAMPLES)).toMatchObject({ code: 0 })
    const objects = await eventually(async () => {
      const all = await everything(platform)
      return all.every(isReady) && all
    })
    expect(objects.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['VirtualMachine', 'Disk', 'PlatformSettings']),
    )
    const again = await platform.kubectl('apply', '--filename', SAMPLES)
    expect(again.stdout.trim().split('\n')).toEqual(
      again.stdout
        .trim()
        .split('\n')
        .filter((line) => line.endsWith(' unchanged')),
    )

    const before = await versions(platform)
    await sleep(IDLE_MS)
    expect(await versions(platform)).toEqual(before)
  })

  test('finds everything as it was after a stop: same machine, same disk content', async () => {
    const before = await platform.get('virtualmachines', 'hello')
    expect(await platform.local('stop')).toMatchObject({ code: 0 })
    expect(await qemus(platform)).toEqual([])
    expect(await platform.local('status')).toMatchObject({ code: 3 })

    expect(await platform.start()).toMatchObject({ code: 0 })
    const after = await platform.get('virtualmachines', 'hello')
    expect(after?.metadata.uid).toBe(before?.metadata.uid)
    expect(after?.status?.machineId).toBe(before?.status?.machineId)
    await eventually(async () => (await platform.serialLog('hello')).includes('holdfast-guest: boots 2'))
    expect(await platform.local('status')).toMatchObject({ code: 0, stdout: expect.stringContaining('VirtualMachine') })
  })

  test('runs beside another one', async () => {
    await using other = await newPlatform()
    expect(await other.start()).toMatchObject({ code: 0 })
    expect(await other.get('virtualmachines', 'hello')).toSatisfy(isReady)
    expect(await other.start()).toMatchObject({ code: 1, stderr: expect.stringContaining('already runs') })
  })

  test('deletes a machine with its root disk and keeps the others', async () => {
    expect(await platform.kubectl('delete', 'hfvm', 'with-disk', '--timeout=60s')).toMatchObject({ code: 0 })
    const disks = await eventually(async () => {
      const found = await platform.list('disks')
      return found.every(({ metadata }) => metadata.name !== 'with-disk-root') && found
    })
    expect(disks.map(({ metadata }) => metadata.name)).toEqual(expect.arrayContaining(['data', 'hello-root']))
    const files = await readdir(join(platform.home, 'storage', 'disks'))
    const entries = await platform.list('recycledresources')
    // The file of the root disk is in the bin with its machine.
    expect(files.filter((name) => name.endsWith('.qcow2'))).toHaveLength(disks.length + entries.length)
    expect(entries).toHaveLength(1)
  })
})

async function everything(platform: Platform) {
  return (await Promise.all(kinds.map((kind) => platform.list(kind)))).flat()
}

async function versions(platform: Platform): Promise<string[]> {
  const events = await platform.list('events')
  return [...(await everything(platform)), ...events].map(
    ({ kind, metadata }) => `${kind} ${metadata.name} ${metadata.resourceVersion}`,
  )
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

async function statusWithoutCredentials(url: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const query = request(url, { rejectUnauthorized: false }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    query.on('error', reject).end()
  })
}
