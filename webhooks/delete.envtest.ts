import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DataStorage } from '../crds/data-storage.ts'
import { Disk } from '../crds/disk.ts'
import { Host } from '../crds/host.ts'
import { Image } from '../crds/image.ts'
import type { Kind } from '../crds/kind.ts'
import { RecycledResource } from '../crds/recycled-resource.ts'
import { VirtualMachine } from '../crds/virtual-machine.ts'
import type { Kube } from '../lib/kube/client.ts'
import { collectionPath, objectPath } from '../lib/kube/paths.ts'
import { describeDryRuns } from './dry-run.suite.ts'
import { describeInUse } from './in-use.suite.ts'
import { answerTo, change, entryOf, make, phaseTo, remove, settle } from './testing/people.ts'
import { startWorld, type World } from './testing/world.ts'

const DAY_MS = 24 * 3_600_000
const NAMESPACES = { group: '', version: 'v1', plural: 'namespaces', scope: 'Cluster' } as const

let world: World
let ann: Kube
let bob: Kube
beforeAll(async () => {
  // oxlint-disable-next-line node/no-process-env -- where the programs are
  world = await startWorld(process.env)
  const { port } = await world.startWebhooks()
  await world.install(port)
  ann = await world.person('ann')
  bob = await world.person('bob', ['setDeletionPolicy', 'setOwner', 'bulkDelete', 'recover', 'purge'])
})
afterAll(() => world[Symbol.asyncDispose]())

/** The webhooks hear of a change within a moment. */
const eventually = { timeout: 5_000, interval: 50 }

describe('A delete', () => {
  test('[DEL-09] of a VirtualMachine writes down who, when and what becomes of it, and says the way back', async () => {
    const { metadata } = await make(ann, VirtualMachine, 'web')
    const { warnings } = await remove(ann, VirtualMachine, 'web')
    expect(warnings).toEqual([
      'VirtualMachine default/web is stopped and put into the recycle bin',
      expect.stringMatching(/^it is destroyed at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ; until then it can be brought back$/),
      `kubectl patch recycled ${metadata.uid} --type=merge -p '{"spec":{"action":"Recover"}}'`,
    ])
    const entry = await entryOf(world.kube, metadata.uid)
    expect(entry?.metadata.labels).toEqual({ 'holdfast.dev/owner': 'ann' })
    expect(entry?.spec.deletion).toMatchObject({ by: 'ann', policy: 'Delayed', retention: '7d' })
    const { at = '', purgeAt = '' } = entry?.spec.deletion ?? {}
    expect(Date.parse(purgeAt) - Date.parse(at)).toBe(7 * DAY_MS)
    expect(Math.abs(Date.parse(at) - Date.now())).toBeLessThan(5_000)
  })

  test.each<[string, Kind, number]>([
    ['virtualMachine', VirtualMachine, 7],
    ['disk', Disk, 3],
    ['image', Image, 3],
  ])(
    '[DEL-01] [DEL-09] [DEL-10] [DEL-11] under the settings of %s is the next one that follows them, by default Delayed',
    async (setting, kind, days) => {
      let made = 0
      const deleted = async () => {
        const name = `follows-${setting.toLowerCase()}-${(made += 1)}`
        const { metadata } = await make(ann, kind, name)
        await remove(ann, kind, name)
        const { deletion } = (await entryOf(world.kube, metadata.uid))?.spec ?? {}
        return {
          policy: deletion?.policy,
          keptMs: Date.parse(deletion?.purgeAt ?? '') - Date.parse(deletion?.at ?? ''),
        }
      }
      const told = async (person: Kube, policy: object) => answerTo(settle(person, { [setting]: policy }))
      expect(await deleted()).toEqual({ policy: 'Delayed', keptMs: days * DAY_MS })
      expect(await told(ann, { policy: 'Immediate' })).toContain('ask for the permission setDeletionPolicy on')
      expect(await told(bob, { policy: 'Sometimes' })).toContain(
        'Unsupported value: "Sometimes": supported values: "Immediate", "Delayed"',
      )
      expect(await deleted()).toEqual({ policy: 'Delayed', keptMs: days * DAY_MS })

      expect(await told(bob, { policy: 'Delayed', retention: '10d' })).toBe('accepted')
      expect(await deleted()).toEqual({ policy: 'Delayed', keptMs: 10 * DAY_MS })
      expect(await told(bob, { policy: 'Never' })).toBe('accepted')
      expect(await deleted()).toEqual({ policy: 'Never', keptMs: Number.NaN })
      expect(await told(bob, { policy: 'Immediate', confirmation: 'None' })).toBe('accepted')
      expect(await deleted()).toEqual({ policy: 'Immediate', keptMs: Number.NaN })
      await settle(world.kube, {})
    },
  )

  test('[DEL-13] that is repeated, by others and under other settings, moves nothing that was written down', async () => {
    const { metadata } = await make(ann, Disk, 'kept')
    await remove(ann, Disk, 'kept')
    const first = await entryOf(world.kube, metadata.uid)
    await settle(world.kube, { disk: { policy: 'Immediate' } })
    await change(bob, Disk, 'kept', { spec: { deletionPolicy: 'Never' } })
    await remove(bob, Disk, 'kept')
    await settle(world.kube, {})
    expect(await entryOf(world.kube, metadata.uid)).toEqual(first)
  })

  test.each([
    ['at once', { gracePeriodSeconds: 0 }],
    ['in the foreground', { propagationPolicy: 'Foreground' }],
    ['with orphans', { propagationPolicy: 'Orphan' }],
  ])('[DEL-04] %s is written down as any other', async (how, options) => {
    const name = `how-${how.replaceAll(' ', '-')}`
    const { metadata } = await make(ann, Image, name)
    await remove(ann, Image, name, options)
    expect((await entryOf(world.kube, metadata.uid))?.spec.deletion).toMatchObject({ by: 'ann', policy: 'Delayed' })
  })

  test('[DEL-04] of a collection writes down each object in it', async () => {
    const labels = { set: 'many' }
    const made = await Promise.all(['m1', 'm2', 'm3'].map((name) => make(ann, Disk, name, { labels })))
    const path = collectionPath(Disk, 'default')
    await ann.send({ method: 'DELETE', path, query: { labelSelector: 'set=many' } })
    const entries = await Promise.all(made.map(({ metadata }) => entryOf(world.kube, metadata.uid)))
    expect(entries.map((entry) => entry?.spec.resource.name)).toEqual(['m1', 'm2', 'm3'])
  })

  test('[DEL-14] [REM-05] of a namespace says what goes with it, and is written down under the person who did it', async () => {
    await ann.send({ method: 'POST', path: '/api/v1/namespaces', body: { metadata: { name: 'shop' } } })
    const made = await make(ann, VirtualMachine, 'web', { namespace: 'shop' })
    await make(ann, Disk, 'kept', { namespace: 'shop' })
    const removal = { method: 'DELETE', path: objectPath(NAMESPACES, { name: 'shop' }) } as const
    const warned = async () => (await ann.send({ ...removal, body: { dryRun: ['All'] } })).warnings
    await expect
      .poll(warned, eventually)
      .toEqual([
        'with namespace shop, 1 VirtualMachine and 1 Disk are put into the recycle bin',
        'what is in the recycle bin can be brought back, and the namespace with it: kubectl get recycled --field-selector spec.resource.namespace=shop',
      ])
    await ann.send(removal)
    const by = async () => (await entryOf(world.kube, made.metadata.uid))?.spec.deletion.by
    await expect.poll(by, { timeout: 30_000, interval: 100 }).toBe('ann')
  })

  test('[DEL-04] because the owner is gone is written down too', async () => {
    const owner = { metadata: { generateName: 'owner-' } }
    const { body } = await ann.send<{ metadata: { name: string; uid: string } }>({
      method: 'POST',
      path: '/api/v1/namespaces/default/configmaps',
      body: owner,
    })
    const { name, uid } = body.metadata
    const made = await make(ann, Disk, 'owned', {
      ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name, uid }],
    })
    await ann.send({ method: 'DELETE', path: `/api/v1/namespaces/default/configmaps/${name}` })
    const by = async () => (await entryOf(world.kube, made.metadata.uid))?.spec.deletion.by
    const collector = 'system:serviceaccount:kube-system:generic-garbage-collector'
    await expect.poll(by, { timeout: 30_000, interval: 100 }).toBe(collector)
  })

  test('[DEL-13] under Never has no end, and [DEL-08] a purge is refused to everybody, with the way out', async () => {
    const { metadata } = await make(bob, Disk, 'for-good', { spec: { deletionPolicy: 'Never' } })
    const { warnings } = await remove(bob, Disk, 'for-good')
    expect(warnings).toContain('it is kept for good, takes its space for good, and can be brought back')
    expect((await entryOf(world.kube, metadata.uid))?.spec.deletion.purgeAt).toBeUndefined()
    const purge = world.kube.send({
      method: 'PATCH',
      path: objectPath(RecycledResource, { name: metadata.uid }),
      contentType: 'application/merge-patch+json',
      body: { spec: { action: 'Purge' } },
    })
    expect(await answerTo(purge)).toContain('recover it with spec.action Recover, then delete it under another')
  })
})

describe('A confirmation', () => {
  test('[REM-06] is asked for with the command, taken, and stale when the consequences grow', async () => {
    await make(ann, Host, 'old')
    const first = await answerTo(remove(ann, Host, 'old'))
    const token = /holdfast\.dev\/confirm-delete=([0-9a-f]{8}), and delete it again/.exec(first)?.[1] ?? ''
    expect(first).toBe(
      `this delete has to be confirmed: Host old is forgotten: nothing is placed on it any more, and nobody looks at it. To go on, run: kubectl annotate hosts.compute.holdfast.dev old --overwrite holdfast.dev/confirm-delete=${token}, and delete it again`,
    )
    await make(ann, DataStorage, 'on-old', { spec: { local: { host: 'old', path: '/srv/old' } } })
    await change(ann, Host, 'old', { metadata: { annotations: { 'holdfast.dev/confirm-delete': token } } })
    const stale = async () => answerTo(remove(ann, Host, 'old', { dryRun: true }))
    await expect
      .poll(stale, eventually)
      .toMatch(/^the confirmation is not for these consequences, which may have changed/)
    const [, next = ''] = /confirm-delete=([0-9a-f]{8})/.exec(await stale()) ?? []
    await change(ann, Host, 'old', { metadata: { annotations: { 'holdfast.dev/confirm-delete': next } } })
    expect(await answerTo(remove(ann, Host, 'old'))).toBe('accepted')
  })

  test('[REM-06] is asked for where a delete destroys at once, and nothing is written down before', async () => {
    const { metadata } = await make(bob, Disk, 'burn', { spec: { deletionPolicy: 'Immediate' } })
    const refusal = await answerTo(remove(bob, Disk, 'burn'))
    expect(refusal).toContain('Disk default/burn is destroyed at once')
    expect(await entryOf(world.kube, metadata.uid)).toBeUndefined()
    const [, token = ''] = /confirm-delete=([0-9a-f]{8})/.exec(refusal) ?? []
    await change(bob, Disk, 'burn', { metadata: { annotations: { 'holdfast.dev/confirm-delete': token } } })
    await remove(bob, Disk, 'burn')
    expect((await entryOf(world.kube, metadata.uid))?.spec.deletion.policy).toBe('Immediate')
  })
})

describe('Permissions', () => {
  test('[DEL-13] spec.deletionPolicy is set and changed by holders of setDeletionPolicy alone', async () => {
    const why =
      'ann may not set spec.deletionPolicy: leave it as it was, or ask for the permission setDeletionPolicy on disks'
    expect(await answerTo(make(ann, Disk, 'mine', { spec: { deletionPolicy: 'Immediate' } }))).toBe(why)
    await make(bob, Disk, 'mine', { spec: { deletionPolicy: 'Never' } })
    expect(await answerTo(change(ann, Disk, 'mine', { spec: { deletionPolicy: 'Immediate' } }))).toBe(why)
    expect(await answerTo(change(ann, Disk, 'mine', { spec: { deletionPolicy: null } }))).toBe(why)
    expect(await answerTo(change(ann, Disk, 'mine', { metadata: { labels: { a: 'b' } } }))).toBe('accepted')
    expect(await answerTo(change(bob, Disk, 'mine', { spec: { deletionPolicy: null } }))).toBe('accepted')
  })

  test("[OWN-01] [OWN-02] an object is its maker's, and only holders of setOwner say otherwise", async () => {
    const owned = (owner: string | null) => ({ 'holdfast.dev/owner': owner })
    const { metadata } = await make(ann, VirtualMachine, 'anns', { labels: { app: 'x' } })
    expect(metadata.labels).toEqual({ app: 'x', 'holdfast.dev/owner': 'ann' })
    expect(await answerTo(make(ann, VirtualMachine, 'forged', { labels: { 'holdfast.dev/owner': 'bob' } }))).toBe(
      'ann may not set the label holdfast.dev/owner: leave it out, and it becomes ann, or ask for the permission setOwner on virtualmachines',
    )
    expect(await answerTo(change(ann, VirtualMachine, 'anns', { metadata: { labels: owned('bob') } }))).toContain(
      'ann may not change the label holdfast.dev/owner',
    )
    const dropped = await change(ann, VirtualMachine, 'anns', { metadata: { labels: owned(null) } })
    expect(dropped.body.metadata.labels).toEqual({ app: 'x', 'holdfast.dev/owner': 'ann' })
    const given = await change(bob, VirtualMachine, 'anns', { metadata: { labels: owned('carol') } })
    expect(given.body.metadata.labels).toMatchObject(owned('carol'))
  })

  test('entries of the recycle bin are made by deletes alone, kept as they are, and not deleted by hand', async () => {
    const { metadata } = await make(ann, Image, 'gone')
    await remove(ann, Image, 'gone')
    const name = metadata.uid
    const entry = await entryOf(world.kube, name)
    const spec = { ...entry?.spec, resource: { ...entry?.spec.resource, uid: '10000000-0000-4000-8000-000000000001' } }
    expect(await answerTo(make(world.kube, RecycledResource, spec.resource.uid, { spec }))).toContain(
      'made by deleting',
    )
    expect(await answerTo(change(world.kube, RecycledResource, name, { spec: { deletion: { by: 'bob' } } }))).toContain(
      'what was deleted, how and when is fixed',
    )
    expect(await answerTo(remove(world.kube, RecycledResource, name))).toContain('is not deleted by hand')
    const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'gone', uid: '10000000-0000-4000-8000-00000000dead' }
    expect(
      await answerTo(change(world.kube, RecycledResource, name, { metadata: { ownerReferences: [owner] } })),
    ).toContain('has no owners and no finalizers')
    const collector = await world.person('system:serviceaccount:kube-system:generic-garbage-collector')
    expect(await answerTo(remove(collector, RecycledResource, name))).toContain('is not deleted by hand')
    expect(await answerTo(change(ann, RecycledResource, name, { spec: { action: 'Recover' } }))).toBe(
      'ann may not recover what was deleted: ask for the permission recover on recycledresources',
    )
    expect(await answerTo(change(ann, RecycledResource, name, { spec: { action: 'Purge' } }))).toContain(
      'may not purge',
    )
    expect(await answerTo(change(bob, RecycledResource, name, { spec: { action: 'Recover' } }))).toBe('accepted')
  })
})

describe('What the schema refuses', () => {
  test.each<[string, string, object, string]>([
    ['a name of 10 kB', 'x'.repeat(10_240), {}, 'no more than 253'],
    ['a size that is none', 'wrong', { size: '4 GB' }, 'write a whole number from 1 with Mi, Gi or Ti'],
    ['a size that is a number', 'wrong', { size: 4 }, 'must be of type string'],
    ['another policy', 'wrong', { deletionPolicy: 'Later' }, 'Unsupported value: "Later"'],
  ])('is refused in the words of the schema, and not of the webhooks: %s', async (_, name, spec, sentence) => {
    expect(await answerTo(make(bob, Disk, name, { spec }))).toContain(sentence)
  })
})

describe('A name that is in the recycle bin', () => {
  test('[DEL-16] is free with a warning that names the entry, or taken where that is said', async () => {
    const { metadata } = await make(ann, Image, 'again')
    await remove(ann, Image, 'again')
    await phaseTo(world.kube, metadata.uid, 'Binned')
    await world.kube.send({
      method: 'PATCH',
      path: objectPath(Image, { namespace: 'default', name: 'again' }),
      contentType: 'application/merge-patch+json',
      body: { metadata: { finalizers: null } },
    })
    const body = (mode?: string) => ({
      apiVersion: 'storage.holdfast.dev/v1alpha1',
      kind: 'Image',
      metadata: { name: 'again', ...(mode && { annotations: { 'holdfast.dev/on-name-reuse': mode } }) },
      spec: { source: { file: { path: 'a' } } },
    })
    const create = async (mode?: string) =>
      ann.send({ method: 'POST', path: collectionPath(Image, 'default'), query: { dryRun: 'All' }, body: body(mode) })
    const fresh = async () => (await create()).warnings[0]
    await expect
      .poll(fresh, eventually)
      .toMatch(/^the recycle bin has Image default\/again, deleted by ann at .+; this is a new one$/)
    expect(await answerTo(create('Deny'))).toMatch(
      /: bring it back \(kubectl patch recycled .+\), purge it, or use another name$/,
    )
    expect(await answerTo(create('Later'))).toBe(
      'the annotation holdfast.dev/on-name-reuse is Later: write Fresh, Restore or Deny',
    )
    await settle(world.kube, { onNameReuse: 'Deny' })
    await expect.poll(async () => answerTo(create()), eventually).toContain('or use another name')
    expect(await answerTo(create('Fresh'))).toBe('accepted')
    await settle(world.kube, {})
  })
})

// A control plane takes longer to start than these tests take.
describeInUse(() => world)
describeDryRuns(() => world)
