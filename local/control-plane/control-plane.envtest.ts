import { once } from 'node:events'
import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Resource } from '../../crds/kind.ts'
import { systemClock } from '../../lib/clock.ts'
import { ObjectCache } from '../../lib/kube/cache.ts'
import { Kube } from '../../lib/kube/client.ts'
import { collectionPath, objectPath } from '../../lib/kube/paths.ts'
import { runReflector } from '../../lib/kube/reflector.ts'
import { silentLog } from '../../lib/log.ts'
import { loadOrCreateAuthority } from '../../lib/tls/authority.ts'
import { isAlive } from '../../lib/process-identity.ts'
import { startControlPlane, type ControlPlane } from './control-plane.ts'
import { findPrograms, type Programs } from './programs.ts'

const ConfigMap = { group: '', version: 'v1', plural: 'configmaps', scope: 'Namespaced' } as const
const Secret = { ...ConfigMap, plural: 'secrets' } as const
const namespace = 'default'

let stack: AsyncDisposableStack
let folder: string
let programs: Programs
let plane: ControlPlane
let kube: Kube
const said: string[] = []

const start = async () =>
  startControlPlane({
    folder,
    durable: false,
    programs,
    env: {},
    observer: { say: (line) => said.push(line), changed: () => undefined },
  })

beforeAll(async () => {
  stack = new AsyncDisposableStack()
  folder = await mkdtemp(join(tmpdir(), 'hf-plane-'))
  stack.defer(() => rm(folder, { recursive: true }))
  // oxlint-disable-next-line node/no-process-env -- where the programs are
  programs = await findPrograms({ env: process.env, say: (line) => said.push(line) })
  plane = await start()
  stack.defer(() => plane.stop())
  kube = stack.use(await Kube.connect(plane.kubeconfig))
})
afterAll(() => stack.disposeAsync())

async function put(
  name: string,
  data: Record<string, string> = {},
  kind: typeof ConfigMap | typeof Secret = ConfigMap,
) {
  const body = { metadata: { name }, ...(kind === Secret ? { stringData: data } : { data }) }
  const { body: made } = await kube.send<Resource>({ method: 'POST', path: collectionPath(kind, namespace), body })
  return made
}

const remove = async (name: string) => kube.send({ method: 'DELETE', path: objectPath(ConfigMap, { namespace, name }) })

/** What a reflector makes of this server's ConfigMaps, over all its restarts. */
function follow() {
  const cache = new ObjectCache({})
  const told: string[] = []
  cache.onChange((before, after) => {
    const object = after ?? before
    if (object?.metadata.namespace !== namespace) return
    told.push(`${before ? (after ? 'changed' : 'deleted') : 'added'} ${object.metadata.name}`)
  })
  const abort = new AbortController()
  const { signal } = abort
  const ended = runReflector({ kube, kind: ConfigMap, cache, log: silentLog, clock: systemClock, signal })
  stack.defer(async () => {
    abort.abort()
    await ended
  })
  const names = () => cache.list().flatMap(({ metadata }) => (metadata.namespace === namespace ? metadata.name : []))
  return { cache, told, names }
}

test('a control plane that is stopped ends all its processes, and starts again with its data where it was', async () => {
  const { cache, told, names } = follow()
  await cache.synced
  const before = await put('a', { text: 'plain' })
  const [port, kubeconfig] = [plane.port, await readFile(plane.kubeconfig, 'utf8')]
  const processes = plane.children.flatMap((child) => child.process() ?? [])
  expect(plane.children.map(({ name }) => name)).toEqual(['etcd', 'kube-apiserver', 'kube-controller-manager'])
  expect(processes).toHaveLength(3)

  await plane.stop()
  expect(await Promise.all(processes.map(isAlive))).toEqual([false, false, false])
  plane = await start()
  expect([plane.port, await readFile(plane.kubeconfig, 'utf8')]).toEqual([port, kubeconfig])
  expect((await stat(plane.kubeconfig)).mode & 0o777).toBe(0o600)
  const { body: after } = await kube.send<Resource>({ method: 'GET', path: objectPath(ConfigMap, before.metadata) })
  expect(after).toEqual(before)

  // The reflector has lived through it, and told nothing that did not happen.
  await put('b')
  await expect.poll(names, { timeout: 10_000 }).toEqual(['a', 'b'])
  expect(told).toEqual(['added a', 'added b'])
  expect(said).toEqual([])
})

test('a reflector follows a server whose data was restored from a backup', async () => {
  const { cache, names } = follow()
  await cache.synced
  const wanted = names()
  await plane.stop()
  await cp(join(folder, 'etcd'), join(folder, 'backup'), {
    recursive: true,
    filter: (path) => !path.endsWith('.sock:0'),
  })
  plane = await start()
  await remove('a')
  for (const name of ['c', 'd', 'e']) await put(name)
  await expect.poll(names, { timeout: 10_000 }).toEqual(['b', 'c', 'd', 'e'])

  await plane.stop()
  await rm(join(folder, 'etcd'), { recursive: true })
  await cp(join(folder, 'backup'), join(folder, 'etcd'), { recursive: true })
  plane = await start()
  // An older state is believed after 30 s, for a server that lags behind looks the same.
  await expect.poll(() => names().toSorted(), { timeout: 60_000 }).toEqual(wanted)
  await put('f')
  await expect.poll(names).toContain('f')
}, 120_000)

test.each(['kube-apiserver', 'etcd'])(
  '%s is started again when it was killed, and a reflector goes on',
  async (killed) => {
    const { cache, names } = follow()
    await cache.synced
    const server = plane.children.find(({ name }) => name === killed)
    const before = server?.process()
    if (!before) throw new Error(`${killed} does not run`) // No number means the whole process group.
    process.kill(before.pid, 'SIGKILL')
    await expect.poll(() => server?.process()?.pid, { timeout: 10_000 }).not.toBe(before.pid)
    await expect
      .poll(() => put(`after-${killed}`).catch(() => undefined), { timeout: 20_000, interval: 100 })
      .toBeDefined()
    await expect.poll(names, { timeout: 10_000 }).toContain(`after-${killed}`)
    await expect(server?.assertNeverEnded()).rejects.toMatchObject({ code: 'PROGRAM_ENDED' })
  },
  60_000,
)

test('certificates near their end are renewed while the control plane runs', async () => {
  const pki = join(folder, 'pki', 'kubernetes')
  const manager = () => plane.children.find(({ name }) => name === 'kube-controller-manager')?.process()?.pid
  const before = manager()
  await plane.renew()
  expect(manager()).toBe(before)

  const authority = await loadOrCreateAuthority(pki, 'holdfast-kubernetes')
  const commonName = 'system:kube-controller-manager'
  const old = await authority.issue({ commonName, usages: ['Client'], lifetimeMs: 60_000 })
  await writeFile(join(pki, 'kube-controller-manager.crt'), old.certificate)
  await writeFile(join(pki, 'kube-controller-manager.key'), old.key)
  await plane.renew()
  expect(await readFile(join(pki, 'kube-controller-manager.crt'), 'utf8')).not.toBe(old.certificate)
  await expect.poll(() => manager() ?? before, { timeout: 20_000 }).not.toBe(before)
})

test('what is in a Secret is nowhere in the files of etcd', async () => {
  await put('open', { text: 'findme-plain' })
  await put('closed', { text: 'findme-secret' }, Secret)
  await plane.stop()
  const found = { plain: false, secret: false }
  for (const name of await readdir(join(folder, 'etcd/data'), { recursive: true })) {
    const path = join(folder, 'etcd/data', name)
    if (!(await stat(path)).isFile()) continue
    const content = await readFile(path)
    found.plain ||= content.includes('findme-plain')
    found.secret ||=
      content.includes('findme-secret') || content.includes(Buffer.from('findme-secret').toString('base64'))
  }
  expect(found).toEqual({ plain: true, secret: false })
  plane = await start()
})

test('a port that another program has taken is named', async () => {
  await plane.stop()
  // Clients of the tests before may still look for their server here, and would keep the squatter from closing.
  const squatter = createServer((socket) => socket.destroy()).listen(plane.port, '127.0.0.1')
  await once(squatter, 'listening')
  try {
    await expect(start()).rejects.toMatchObject({
      code: 'PORT_TAKEN',
      message: expect.stringContaining(`port ${plane.port} of 127.0.0.1, which this platform used before, is taken`),
    })
  } finally {
    squatter.close()
    await once(squatter, 'close')
  }
  plane = await start()
})

test('a server that cannot start says why at once, and leaves nothing running', async () => {
  await plane.stop()
  const broken = { ...programs, 'kube-apiserver': '/bin/false' }
  const processes: number[] = []
  const observer = {
    say: () => undefined,
    changed: (_: string, process?: { pid: number }) => void (process && processes.push(process.pid)),
  }
  await expect(
    startControlPlane({ folder, durable: false, programs: broken, env: {}, observer }),
  ).rejects.toMatchObject({
    code: 'PROGRAM_ENDED',
    message: expect.stringContaining('kube-apiserver ended by itself; the end of its log'),
  })
  expect(processes).not.toEqual([])
  for (const pid of processes) expect(() => process.kill(pid, 0)).toThrow('ESRCH')
})
