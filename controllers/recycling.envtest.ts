import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { Disk } from '../crds/disk.ts'
import type { Resource } from '../crds/kind.ts'
import { machine } from '../crds/testing/objects.ts'
import { VirtualMachine } from '../crds/virtual-machine.ts'
import { Kube } from '../lib/kube/client.ts'
import { collectionPath, objectPath } from '../lib/kube/paths.ts'
import { kubectl } from '../local/kubectl.ts'
import { MAX_MANIFEST_BYTES, toRecycledManifest } from '../policy/recycled-manifest.ts'
import { newCaches } from './cluster/caches.ts'
import { fakeFleet } from './fleet/testing.ts'
import type { RecycleBin } from './recycle-bin/bin.ts'
import type { Deps, Manifest } from './recycled-resource/scope.ts'
import { accessRecycled, openRecycleBin } from './recycling.ts'

const ENTRY = '10000000-0000-4000-8000-000000000001'
const namespace = 'default'

let kube: Kube
let controllers: Kube
let cache: string
let deps: Deps
let bin: RecycleBin
beforeAll(async () => {
  kube = await Kube.connect(inject('kubeconfig'))
  controllers = await Kube.connect(inject('controllersKubeconfig'))
  cache = await mkdtemp(join(tmpdir(), 'hf-kubectl-'))
  const caches = newCaches()
  const recorder = { record: () => undefined, flush: async () => undefined }
  const serverClock = { now: () => new Date() }
  const recycling = { kube: controllers, caches, fleet: fakeFleet(), recorder, serverClock }
  bin = openRecycleBin(controllers, caches)
  deps = accessRecycled(recycling, bin)
})
afterAll(async () => {
  await kube.close()
  await controllers.close()
  await rm(cache, { recursive: true, force: true })
})

const written = (name: string, labels: object, size = '1Gi') =>
  JSON.stringify({
    apiVersion: 'storage.holdfast.dev/v1alpha1',
    kind: 'Disk',
    metadata: { name, namespace, labels, annotations: { note: 'mine' } },
    spec: { size },
  })

async function apply(text: string, ...options: string[]): Promise<string> {
  // oxlint-disable-next-line node/no-process-env -- where kubectl finds what it needs
  const cluster = { program: inject('kubectl'), kubeconfig: inject('kubeconfig'), cache, env: process.env }
  return kubectl(cluster, ['apply', ...options, '--filename', '-'], text)
}

async function read(name: string): Promise<Resource> {
  return (await kube.send<Resource>({ method: 'GET', path: objectPath(Disk, { namespace, name }) })).body
}

/** Has it deleted, and brought back by the controllers; with a crash right after it was made, if asked to. */
async function bringBack(name: string, crashes: boolean): Promise<void> {
  const manifest = toRecycledManifest(await read(name), MAX_MANIFEST_BYTES)
  const path = objectPath(Disk, { namespace, name })
  await kube.send({ method: 'DELETE', path })
  const body = { metadata: { finalizers: null } }
  await kube.send({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body })
  const place = { kind: 'Disk', namespace, name } as const
  const made = await deps.create(place, manifest as Manifest, ENTRY)
  if (made.type !== 'made') throw new Error('it was not made')
  const object = crashes ? await deps.read(place) : made.object
  await deps.disown(place, object ?? made.object)
}

describe('An object that the recycle bin made anew', () => {
  test.each([false, true])('[DEL-16] is what kubectl apply knows (after a crash: %o)', async (crashes) => {
    const name = `client-${crashes}`
    await apply(written(name, { app: 'shop', old: 'yes' }))
    await bringBack(name, crashes)
    expect(await apply(written(name, { app: 'shop', old: 'yes' }))).toContain('unchanged')
    // What is no longer in the manifest goes, as it would have before.
    await apply(written(name, { app: 'shop' }, '2Gi'))
    const { metadata, spec } = await read(name)
    expect(metadata.labels).toEqual({ app: 'shop' })
    expect(metadata.annotations).toMatchObject({ 'holdfast.dev/recovered-from': ENTRY, note: 'mine' })
    expect(spec['size']).toBe('2Gi')
  })

  test('[DEL-16] takes a server-side apply of other values without a conflict', async () => {
    const name = 'server'
    await apply(written(name, { app: 'shop' }), '--server-side')
    await bringBack(name, false)
    await apply(written(name, { app: 'shop', tier: 'gold' }, '3Gi'), '--server-side', '--field-manager=flux')
    const { metadata, spec } = await read(name)
    expect([metadata.labels, spec['size']]).toEqual([{ app: 'shop', tier: 'gold' }, '3Gi'])
    expect(metadata.finalizers).toEqual([Disk.finalizer])
    expect(metadata.annotations).toMatchObject({ 'holdfast.dev/recovered-from': ENTRY })
    await apply(written(name, { app: 'shop' }, '3Gi'), '--server-side', '--field-manager=flux')
    expect((await read(name)).metadata.labels).toEqual({ app: 'shop' })
  })

  test('[DEL-16] that was applied by kubectl goes on to a server-side apply', async () => {
    const name = 'both'
    await apply(written(name, { app: 'shop' }))
    await bringBack(name, false)
    expect(await apply(written(name, { app: 'store' }, '4Gi'), '--server-side')).toContain('serverside-applied')
    expect((await read(name)).metadata.labels).toEqual({ app: 'store' })
  })

  test('[DEL-16] is given up once, and written no more', async () => {
    const name = 'once'
    await apply(written(name, {}))
    await bringBack(name, false)
    const place = { kind: 'Disk', namespace, name } as const
    const found = await deps.read(place)
    if (!found) throw new Error('it is not there')
    await deps.disown(place, found)
    expect((await read(name)).metadata.resourceVersion).toBe(found.metadata.resourceVersion)
  })
})

describe('An entry of the recycle bin', () => {
  test('[DEL-08] of a VirtualMachine of Never holds what was seen of that, or nothing, and goes in one state alone', async () => {
    const { apiVersion, kind, spec } = machine({ deletionPolicy: 'Never' })
    const body = { apiVersion, kind, metadata: { name: 'kept', namespace }, spec }
    const made = await kube.send<Resource<typeof VirtualMachine>>({
      method: 'POST',
      path: collectionPath(VirtualMachine, namespace),
      body,
    })
    const deletionTimestamp = new Date().toISOString()
    const deleted = { ...made.body, metadata: { ...made.body.metadata, deletionTimestamp } }
    const opened = await bin.open(deleted)
    if (!opened) throw new Error('there is no entry')
    expect(opened.spec).toMatchObject({ deletion: { policy: 'Never' }, lastSeen: { manifest: { spec } } })
    const filled = await bin.fill(opened, { manifest: {} })
    expect([filled.spec.contents, filled.spec.lastSeen]).toEqual([{ manifest: {} }, undefined])
    await expect(bin.remove(opened)).rejects.toMatchObject({ code: 'Conflict' })
    await bin.close(filled)
    expect((await bin.read(filled.metadata.name))?.status?.phase).toBe('Binned')
    await bin.remove(bin.find(filled.metadata.name) ?? filled)
    expect(await bin.read(filled.metadata.name)).toBeUndefined()
  })
})
