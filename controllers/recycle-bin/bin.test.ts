import { describe, expect, test } from 'vitest'
import type { DeletionPolicy } from '../../crds/deletion.ts'
import { RecycledResource } from '../../crds/recycled-resource.ts'
import { disk, entry, image, machine, newDisk, uidOf } from '../../crds/testing/objects.ts'
import { MACHINE_ID_LABEL } from '../../crds/virtual-machine.ts'
import type { Call, Kube, Reply } from '../../lib/kube/client.ts'
import { KubeError } from '../../lib/kube/errors.ts'
import { collectionPath, objectPath } from '../../lib/kube/paths.ts'
import { defaultDeletion } from '../../policy/deletion.ts'
import { newCaches } from '../cluster/caches.ts'
import { newRecycleBin, type Deleted } from './bin.ts'

const MACHINE = '11111111-1111-4111-8111-111111111111'
const deletionTimestamp = '2026-01-01T00:00:00Z'

/** An API server that has entries of the recycle bin alone, and the bin in it. */
class World {
  readonly stored = new Map<string, RecycledResource>()
  readonly caches = newCaches()
  /** Whether the API server has the object that is deleted. */
  isThere = true
  /** Method and path of every call that may have changed something. */
  readonly writes: string[] = []
  #version = 1

  readonly bin = newRecycleBin({
    kube: { send: async (call: Call) => this.#answer(call) } as Pick<Kube, 'send'>,
    cache: this.caches.recycled,
    settings: () => defaultDeletion,
    isThere: async () => this.isThere,
  })

  /** Stores it as somebody else's write would. The cache hears of it when it is told to. */
  store(object: RecycledResource): RecycledResource {
    const metadata = { ...object.metadata, resourceVersion: String(++this.#version) }
    const next = { ...object, metadata }
    this.stored.set(objectPath(RecycledResource, metadata), next)
    return next
  }

  /** What is stored, of which the cache knows. */
  known(object: RecycledResource): RecycledResource {
    const next = this.store(object)
    this.caches.recycled.put(next)
    return next
  }

  entryOf({ metadata: { uid: name } }: Deleted): RecycledResource | undefined {
    return this.stored.get(objectPath(RecycledResource, { name }))
  }

  #answer(call: Call): Reply<unknown> {
    if (call.method !== 'GET') this.writes.push(`${call.method} ${call.path}`)
    return { status: 200, body: this.#carryOut(call), warnings: [] }
  }

  #carryOut({ method, path, body }: Call): unknown {
    if (method === 'POST' && path === collectionPath(RecycledResource)) return this.store(made(body))
    const found = this.stored.get(path.replace(/\/status$/, ''))
    if (!found) throw new KubeError('NotFound', 'there is none')
    if (method === 'GET') return found
    const { status, ...written } = versioned(body)
    if (isStale(written, found)) throw new KubeError('Conflict', 'changed')
    if (method === 'DELETE') return this.stored.delete(path)
    return this.store(method === 'PUT' ? made(body) : { ...found, ...(status && { status }) })
  }
}

interface Written {
  readonly metadata?: { readonly resourceVersion?: string }
  readonly preconditions?: { readonly resourceVersion?: string }
  readonly status?: RecycledResource['status']
}

/** Who does not say which state is meant means any. */
function isStale({ metadata, preconditions }: Written, { metadata: { resourceVersion } }: RecycledResource): boolean {
  return ((metadata ?? preconditions)?.resourceVersion ?? resourceVersion) !== resourceVersion
}

function versioned(body: unknown): Written {
  return body ?? {}
}

function made(body: unknown): RecycledResource {
  const sent = body as RecycledResource
  return { ...sent, metadata: { ...sent.metadata, uid: uidOf(sent.metadata.name) } }
}

/** The entry of an object as a delete left it, with nothing in it. */
function stamped(object: Deleted, policy: DeletionPolicy = 'Delayed'): RecycledResource {
  const { contents: _, ...spec } = entry('Disk', object.metadata.name).spec
  const { uid, name } = object.metadata
  const kept = policy === 'Delayed' ? spec.deletion : { by: 'ann', at: deletionTimestamp, policy }
  const resource = { ...spec.resource, apiVersion: object.apiVersion, uid, name }
  const { metadata } = entry('Disk', name)
  return {
    apiVersion: object.apiVersion,
    kind: RecycledResource.kind,
    metadata: { ...metadata, name: uid },
    spec: { resource, deletion: kept },
  }
}

/** As it was before it was filled. */
function emptied(filled: RecycledResource): RecycledResource {
  const { contents: _, ...spec } = filled.spec
  return { ...filled, spec }
}

const data = disk('data', {}, { deletionTimestamp })
const contents = { manifest: { spec: {} } }

describe('The recycle bin', () => {
  test.each<[DeletionPolicy | undefined, DeletionPolicy]>([
    [undefined, 'Delayed'],
    ['Never', 'Never'],
    ['Immediate', 'Immediate'],
  ])('[DEL-13] heeds what an object says, %s, where no webhook saw its delete: %s', async (override, policy) => {
    const world = new World()
    const deleted = { ...data, spec: { ...data.spec, ...(override && { deletionPolicy: override }) } }
    const opened = await world.bin.open(deleted)
    expect(opened?.spec.deletion).toMatchObject({ policy, at: '2026-01-01T00:00:00.000Z' })
    expect(world.entryOf(data)).toEqual(opened)
    expect(world.bin.find(data.metadata.uid)).toEqual(opened)
  })

  test('[DEL-09] makes no entry for an object that is gone, which would be put away once more', async () => {
    const world = new World()
    world.isThere = false
    expect([await world.bin.open(data), world.writes]).toEqual([undefined, []])
  })

  test('[DEL-09] leaves what the delete wrote down as it was, also where its cache has yet to hear of it', async () => {
    const world = new World()
    const before = world.store(stamped(data, 'Immediate'))
    world.isThere = false
    expect([await world.bin.open(data), world.writes]).toEqual([before, []])
  })

  test.each<[string, Deleted, boolean]>([
    ['a Disk', data, true],
    ['an Image', image(), true],
    ['a VirtualMachine', machine(), false],
    ['a VirtualMachine of Never', machine({ deletionPolicy: 'Never' }), true],
  ])('[DEL-04] [DEL-08] keeps %s as it sees that, where no webhook did: %o, %o', async (_, object, isKept) => {
    const world = new World()
    await world.bin.open({ ...object, metadata: { ...object.metadata, deletionTimestamp } })
    const { lastSeen } = world.entryOf(object)?.spec ?? {}
    expect(lastSeen?.manifest['kind']).toBe(isKept ? object.kind : undefined)
  })

  test.each<[DeletionPolicy, boolean]>([
    ['Never', true],
    ['Delayed', false],
    ['Immediate', false],
  ])(
    '[DEL-08] keeps a VirtualMachine under %s as it sees that, where its delete did not: %o',
    async (policy, isKept) => {
      const world = new World()
      const vm = {
        ...machine(),
        status: { machineId: MACHINE, host: 'host-a', networks: [{ mac: '02:00:00:00:00:01' }] },
      }
      world.known(stamped(vm, policy))
      const opened = await world.bin.open(vm)
      const { manifest: _, ...seen } = opened?.spec.lastSeen ?? { manifest: {} }
      const all = { machineId: MACHINE, host: 'host-a', addresses: [{ mac: '02:00:00:00:00:01' }] }
      expect(seen).toEqual(isKept ? all : {})
      const { writes } = world
      expect([await world.bin.open(vm), world.writes]).toEqual([opened, writes])
      expect(writes).toHaveLength(isKept ? 1 : 0)
    },
  )

  test.each<[string, string, DeletionPolicy]>([
    ['that machine', MACHINE, 'Never'],
    ['another one', uidOf('another'), 'Delayed'],
  ])('[DEL-08] keeps a disk that was made for a machine as long as the entry of %s', async (_, machineId, policy) => {
    const world = new World()
    const vm = stamped(machine(), 'Never')
    const resource = { ...vm.spec.resource, kind: 'VirtualMachine' as const }
    world.known({ ...vm, spec: { ...vm.spec, resource, contents: { ...contents, machineId } } })
    const root = newDisk({}, { name: 'web-root', labels: { [MACHINE_ID_LABEL]: MACHINE }, deletionTimestamp })
    expect((await world.bin.open(root))?.spec.deletion.policy).toBe(policy)
  })

  test('[DEL-09] fills an entry once, in place of what the delete saw', async () => {
    const world = new World()
    const { spec, ...rest } = stamped(data)
    const filled = await world.bin.fill(world.known({ ...rest, spec: { ...spec, lastSeen: contents } }), contents)
    expect([filled.spec.contents, filled.spec.lastSeen]).toEqual([contents, undefined])
    await world.bin.fill(filled, { manifest: {} })
    expect(world.entryOf(data)?.spec.contents).toEqual(contents)
    expect(world.writes).toHaveLength(1)
  })

  test('[DEL-09] closes an entry', async () => {
    const world = new World()
    await world.bin.close(await world.bin.fill(world.known(stamped(data)), contents))
    expect(world.entryOf(data)?.status?.phase).toBe('Binned')
  })

  test.each(['Binned', 'Recovering', 'Purging'] as const)('[DEL-16] closes no entry that is %s', async (phase) => {
    const world = new World()
    const { spec, ...rest } = stamped(data)
    await world.bin.close(world.known({ ...rest, spec: { ...spec, contents }, status: { phase } }))
    expect([world.entryOf(data)?.status?.phase, world.writes]).toEqual([phase, []])
  })

  test.each<[string, (world: World, entry: RecycledResource) => Promise<unknown>]>([
    ['is filled', ({ bin }, one) => bin.fill(emptied(one), contents)],
    ['is closed', ({ bin }, one) => bin.close(one)],
    ['is removed', ({ bin }, one) => bin.remove(one)],
  ])('[DEL-09] [DEL-16] leaves an entry alone that somebody changed before it %s', async (_, act) => {
    const world = new World()
    const seen = world.known({ ...stamped(data), spec: { ...stamped(data).spec, contents } })
    const changed = world.store({ ...seen, spec: { ...seen.spec, action: 'Recover' } })
    await expect(act(world, seen)).rejects.toMatchObject({ code: 'Conflict' })
    expect(world.entryOf(data)).toEqual(changed)
  })

  test('removes an entry, and is content with one that is gone', async () => {
    const world = new World()
    const seen = world.known(stamped(data))
    await world.bin.remove(seen)
    expect([world.stored.size, world.bin.find(data.metadata.uid)]).toEqual([0, undefined])
    await world.bin.remove(seen)
  })
})
