import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, inject, test } from 'vitest'
import { systemClock } from '../clock.ts'
import { silentLog } from '../log.ts'
import { seededRandom } from '../queue/testing.ts'
import { ObjectCache } from './cache.ts'
import { Kube } from './client.ts'
import { collectionPath } from './paths.ts'
import { runReflector } from './reflector.ts'
import { serveThings, Thing } from './testing.ts'
import { objectWriter } from './writer.ts'

/** A port that leads to the server, until it cuts all that goes through it. */
async function proxyTo(server: URL, stack: AsyncDisposableStack) {
  const sockets = new Set<Socket>()
  const cut = () => sockets.forEach((socket) => socket.destroy())
  const proxy = createServer((client) => {
    const upstream = connect(Number(server.port), server.hostname)
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket)
      socket.pipe(other)
      socket.on('error', () => undefined) // Those are the point.
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  stack.defer(() => {
    cut()
    proxy.close()
  })
  return { cut, port: (proxy.address() as AddressInfo).port }
}

test.each([Date.now() % 1e6])(
  'a cache ends equal to the server whose connections are cut again and again (seed %i)',
  async (seed) => {
    await using stack = new AsyncDisposableStack()
    const folder = await mkdtemp(join(tmpdir(), 'faults-'))
    stack.defer(() => rm(folder, { recursive: true }))
    const direct = await readFile(inject('kubeconfig'), 'utf8')
    const server = /https:\/\/[^"\s]+/.exec(direct)?.[0] ?? ''
    const { cut, port } = await proxyTo(new URL(server), stack)
    const path = join(folder, 'kubeconfig')
    await writeFile(path, direct.replace(server, `https://127.0.0.1:${port}`))
    const kube = stack.use(await Kube.connect(inject('kubeconfig')))
    const far = stack.use(await Kube.connect(path))

    const namespace = await serveThings(kube)
    const random = seededRandom(seed)
    const cache = new ObjectCache<Thing>({})
    const copy = new Map<string, string>()
    const gaps: string[] = []
    cache.onChange((before, after) => {
      const key = (after ?? before)?.metadata.uid ?? ''
      if (copy.get(key) !== before?.metadata.resourceVersion) gaps.push(key)
      if (after) copy.set(key, after.metadata.resourceVersion)
      else copy.delete(key)
    })
    const abort = new AbortController()
    const { signal } = abort
    const ended = runReflector({ kube: far, kind: Thing, cache, log: silentLog, clock: systemClock, signal })
    stack.defer(async () => {
      abort.abort()
      await ended
    })

    const writer = objectWriter(kube, Thing, 'test')
    const names = Array.from({ length: 12 }, (_, index) => `a${index}`)
    const change = async () => {
      const name = names[Math.floor(random() * names.length)] ?? ''
      if (random() < 0.3) await writer.delete({ namespace, name })
      else await writer.apply({ metadata: { namespace, name, labels: { at: String(random()) } }, spec: {} })
    }
    const until = performance.now() + 6_000
    for (let nextCut = 0; performance.now() < until;) {
      await change()
      if (performance.now() < nextCut) continue
      cut()
      nextCut = performance.now() + random() * 900
      await sleep(random() * 20)
    }
    const versions = (objects: readonly Thing[]) =>
      objects
        .filter(({ metadata }) => metadata.namespace === namespace)
        .map(({ metadata: { name, resourceVersion } }) => `${name}@${resourceVersion}`)
        .toSorted()
    const { body } = await kube.send<{ items: Thing[] }>({ method: 'GET', path: collectionPath(Thing, namespace) })
    await expect.poll(() => versions(cache.list()), { timeout: 10_000 }).toEqual(versions(body.items))
    expect(gaps).toEqual([])
    expect(cache.isSynced).toBe(true)
  },
  30_000,
)
