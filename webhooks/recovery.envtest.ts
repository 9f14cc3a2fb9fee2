import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Disk } from '../crds/disk.ts'
import { Image } from '../crds/image.ts'
import type { Kind, Resource } from '../crds/kind.ts'
import { RecycledResource } from '../crds/recycled-resource.ts'
import { VirtualMachine } from '../crds/virtual-machine.ts'
import type { Kube } from '../lib/kube/client.ts'
import { collectionPath, objectPath } from '../lib/kube/paths.ts'
import { kubectl } from '../local/kubectl.ts'
import { answerTo, change, create, entryOf, make, phaseTo, remove, report, settle } from './testing/people.ts'
import { startWorld, type World } from './testing/world.ts'

const ORIGIN = 'holdfast.dev/recovered-from'
const OWNER = 'holdfast.dev/owner'
const NOBODY = '10000000-0000-4000-8000-00000000dead'
const MACHINE_ID = '11111111-1111-4111-8111-111111111111'
const FILE = '22222222-2222-4222-8222-222222222222'

let world: World
let ann: Kube
let bob: Kube
let carol: Kube
/** Whom no webhook asks. */
let controllers: Kube
beforeAll(async () => {
  // oxlint-disable-next-line node/no-process-env -- where the programs are
  world = await startWorld(process.env)
  const { port } = await world.startWebhooks()
  await world.install(port)
  ann = await world.person('ann', ['recover'])
  bob = await world.person('bob')
  controllers = await world.account('holdfast-controllers')
  carol = await world.person('carol', ['recover', 'setOwner'])
})
afterAll(() => world[Symbol.asyncDispose]())

/** The webhooks hear of a change within a moment. */
const eventually = { timeout: 5_000, interval: 50 }
const asking = (entry: string, more: object = {}) => ({ annotations: { 'holdfast.dev/recover': entry, ...more } })
const restoring = { annotations: { 'holdfast.dev/on-name-reuse': 'Restore' } }

/** What the finalizer of an object stores. */
async function fill(uid: string, { kind, metadata, spec }: Resource, further: readonly object[] = []): Promise<void> {
  const isMachine = kind === VirtualMachine.kind
  const disk = { uid, id: FILE, dataStorage: 'fast', size: '1Gi' }
  const disks = [{ ...disk, name: isMachine ? `${metadata.name}-root` : metadata.name }]
  const held = kind === 'Image' ? {} : { machineId: MACHINE_ID, host: 'host-a', disks: [...disks, ...further] }
  const entry = await entryOf(world.kube, uid)
  const path = objectPath(RecycledResource, { name: uid })
  await controllers.send({
    method: 'PUT',
    path,
    body: { ...entry, spec: { ...entry?.spec, contents: { manifest: { spec }, ...held } } },
  })
}

/** Has somebody make an object and delete it, and the controllers put it away. Returns the name of the entry. */
async function putAway(owner: Kube, kind: Kind, name: string, spec: object = {}): Promise<string> {
  const made = await make(owner, kind, name, { spec })
  await remove(owner, kind, name)
  await fill(made.metadata.uid, made)
  await phaseTo(world.kube, made.metadata.uid, 'Binned')
  await release(kind, name)
  return made.metadata.uid
}

/** Lets the name go, as the finalizer does at last. */
async function release(kind: Kind, name: string): Promise<void> {
  const path = objectPath(kind, { namespace: 'default', name })
  const body = { metadata: { finalizers: null } }
  await world.kube.send({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body })
}

describe('A manifest that asks for an entry of the recycle bin', () => {
  test.each([VirtualMachine, Disk, Image])(
    '[DEL-16] is marked as coming from it, with a warning: $kind',
    async (kind) => {
      const name = `back-${kind.plural}`
      const entry = await putAway(ann, kind, name)
      const dry = await create(ann, kind, name, { ...asking(entry), dryRun: true })
      expect(dry.body.metadata.annotations).toMatchObject({ [ORIGIN]: entry })
      const warning = `^${kind.kind} default/${name}, deleted by ann at .+, is brought back from .+ \\(${entry}\\)$`
      expect(dry.warnings).toEqual([expect.stringMatching(new RegExp(warning))])
      expect(await answerTo(read(kind, name))).toContain('not found')
      const made = await make(ann, kind, name, asking(entry))
      expect(made.metadata.annotations).toMatchObject({ [ORIGIN]: entry })
      expect(made.metadata.labels).toMatchObject({ [OWNER]: 'ann' })
    },
  )

  test('[DEL-16] is refused where there is no such entry, or it is of another kind or namespace, or not to be had', async () => {
    const entry = await putAway(ann, Disk, 'one')
    const ask = async (kind: Kind, more: object) => answerTo(make(ann, kind, 'one', more))
    expect(await ask(Disk, asking('yesterday'))).toBe(
      'the annotation holdfast.dev/recover is yesterday: write the name of an entry, as kubectl get recycled shows it',
    )
    await expect
      .poll(async () => ask(Disk, asking(NOBODY)), eventually)
      .toBe(
        `there is no entry ${NOBODY} in the recycle bin, which has entry ${entry} of this name: it was brought back or destroyed; leave the annotation holdfast.dev/recover out, or name another`,
      )
    expect(await ask(Image, asking(entry))).toBe(
      `entry ${entry} of the recycle bin holds Disk default/one, and this is another kind: Image`,
    )
    expect(await ask(Disk, { ...asking(entry), namespace: 'kube-public' })).toContain(
      'is from namespace default: to bring',
    )
    expect(await ask(Disk, { ...asking(entry), spec: { dataStorage: 'slow' } })).toContain(
      'DataStorage fast: write that',
    )
    const adopt = { machineId: NOBODY }
    const vm = await putAway(ann, VirtualMachine, 'one')
    expect(await ask(VirtualMachine, { ...asking(vm), spec: { adopt } })).toContain('than the one in spec.adopt')
    for (const [phase, why] of [
      ['Recovering', 'is being brought back as default/one'],
      ['Purging', 'is being destroyed'],
    ] as const) {
      await phaseTo(world.kube, entry, phase)
      expect(await ask(Disk, asking(entry))).toContain(why)
    }
  })

  test('[DEL-16] is refused while the object is still being put away', async () => {
    const { metadata } = await make(ann, Disk, 'slow')
    await remove(ann, Disk, 'slow')
    expect(await answerTo(make(ann, Disk, 'other-name', asking(metadata.uid)))).toContain(
      'is still being put away: try again in a moment',
    )
  })

  test('[DEL-16] [DEL-17] takes the permission recover, and setOwner for what somebody else owns', async () => {
    const ofAnn = await putAway(ann, Disk, 'anns')
    expect(await answerTo(make(bob, Disk, 'anns', asking(ofAnn)))).toBe(
      `bob may not bring back what was deleted (${ofAnn}): ask for the permission recover on recycledresources, or make a new one with the annotation holdfast.dev/on-name-reuse: Fresh`,
    )
    const ofBob = await putAway(bob, Disk, 'bobs')
    expect(await answerTo(make(ann, Disk, 'bobs', asking(ofBob)))).toBe(
      'ann may not bring back what bob owns: let them do it, or ask for the permission setOwner on disks',
    )
    expect(await answerTo(make(ann, Disk, 'bobs', { ...asking(ofBob), labels: { [OWNER]: 'ann' } }))).toContain(
      'what bob owns',
    )
    const { metadata } = await make(carol, Disk, 'bobs', asking(ofBob))
    expect(metadata.labels).toEqual({ [OWNER]: 'bob' })
  })

  test('[DEL-16] says what of it is not done to the disk that comes back', async () => {
    const entry = await putAway(ann, VirtualMachine, 'shrunk')
    const rootDisk = { imageRef: { name: 'another' } }
    const { warnings } = await create(ann, VirtualMachine, 'shrunk', { ...asking(entry), spec: { rootDisk } })
    expect(warnings[1]).toBe(
      'spec.rootDisk is another than before: Disk shrunk-root comes back as it was, and nothing is written to it',
    )
  })
})

describe('A create under onNameReuse Restore', () => {
  test('[DEL-16] brings back the newest of its name, and a new one where there is none', async () => {
    const older = await putAway(ann, Disk, 'again')
    const newer = await putAway(ann, Disk, 'again')
    expect((await make(ann, Disk, 'again', restoring)).metadata.annotations).toMatchObject({ [ORIGIN]: newer })
    const { metadata: brief } = await read(Disk, 'again')
    await remove(ann, Disk, 'again')
    await release(Disk, 'again')
    // As the finalizer of one that had nothing of its own yet.
    await controllers.send({ method: 'DELETE', path: objectPath(RecycledResource, { name: brief.uid }) })
    await phaseTo(world.kube, newer, 'Purging')
    expect((await make(ann, Disk, 'again', restoring)).metadata.annotations).toMatchObject({ [ORIGIN]: older })
    const { metadata } = await make(ann, Disk, 'first', restoring)
    expect(metadata.annotations?.[ORIGIN]).toBeUndefined()
  })

  test('[DEL-16] finds the newest of more entries than the API server is asked for at once', async () => {
    const first = await entryOf(world.kube, await putAway(ann, Disk, 'often'))
    const uids = Array.from({ length: 120 }, () => randomUUID())
    for (const uid of uids) {
      const spec = { ...first?.spec, resource: { ...first?.spec.resource, uid } }
      const body = { apiVersion: first?.apiVersion, kind: first?.kind, metadata: { name: uid }, spec }
      await controllers.send({ method: 'POST', path: collectionPath(RecycledResource), body })
    }
    const answer = await answerTo(make(carol, Disk, 'often', restoring))
    expect(answer).toBe(`entry ${uids.at(-1)} of the recycle bin is still being put away: try again in a moment`)
  })

  test('[DEL-16] [DEL-20] brings a Disk back that a machine took along, once that machine comes back', async () => {
    const made = await make(ann, VirtualMachine, 'taker')
    const entry = made.metadata.uid
    await remove(ann, VirtualMachine, 'taker')
    await fill(entry, made, [{ name: 'taken', uid: NOBODY, id: NOBODY, dataStorage: 'fast', size: '1Gi' }])
    await phaseTo(world.kube, entry, 'Binned')
    await release(VirtualMachine, 'taker')
    const { body, warnings } = await create(ann, Disk, 'taken', { ...restoring, dryRun: true })
    expect(body.metadata.annotations).toMatchObject({ [ORIGIN]: entry })
    expect(warnings.join(' ')).toContain('together with VirtualMachine default/taker, deleted by ann at')
    expect((await make(ann, Disk, 'taken', asking(entry))).metadata.annotations).toMatchObject({ [ORIGIN]: entry })
    const another = await answerTo(create(ann, Disk, 'untaken', asking(entry)))
    expect(another).toContain('holds VirtualMachine default/taker, and this is another kind: Disk')
    await expect
      .poll(async () => (await create(ann, Disk, 'taken-2', { dryRun: true })).warnings, eventually)
      .toEqual([])
  })

  test('[DEL-16] holds for all where the settings say so, and the annotation says otherwise for one', async () => {
    const entry = await putAway(bob, Disk, 'set')
    await settle(world.kube, { onNameReuse: 'Restore' })
    await expect
      .poll(async () => answerTo(create(bob, Disk, 'set', { dryRun: true })), eventually)
      .toContain('bob may not bring back')
    const annotations = { 'holdfast.dev/on-name-reuse': 'Fresh' }
    const fresh = await create(bob, Disk, 'set', { annotations, dryRun: true })
    expect(fresh.body.metadata.annotations?.[ORIGIN]).toBeUndefined()
    expect(fresh.warnings[0]).toMatch(/; this is a new one$/)
    expect(fresh.warnings[1]).toContain(`holdfast.dev/recover: ${entry}`)
    await settle(world.kube, {})
  })
})

describe('spec.action and spec.recoverAs of an entry', () => {
  const recover = { action: 'Recover' }

  test('[DEL-17] take recover, setOwner for what somebody else owns, and create where it goes', async () => {
    const entry = await putAway(ann, Disk, 'acted')
    const act = async (kube: Kube, spec: object) => answerTo(change(kube, RecycledResource, entry, { spec }))
    const dave = await world.person('dave', ['recover'])
    expect(await act(bob, recover)).toContain('bob may not recover what was deleted')
    expect(await act(bob, { recoverAs: { namespace: 'lab' } })).toContain('bob may not recover what was deleted')
    expect(await act(dave, { ...recover, recoverAs: { namespace: 'lab' } })).toContain('bring back what ann owns')
    expect(await act(carol, recover)).toBe('accepted')
    expect(await act(bob, { action: null })).toContain('bob may not recover')
    expect(await act(ann, { action: null })).toBe('accepted')

    await change(world.kube, RecycledResource, entry, { metadata: { labels: null } })
    const erin = await world.person('erin')
    const rules = [{ apiGroups: ['platform.holdfast.dev'], resources: ['recycledresources'], verbs: ['*'] }]
    const path = '/apis/rbac.authorization.k8s.io/v1/clusterroles/erin'
    await world.kube.send({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body: { rules } })
    await expect
      .poll(async () => act(erin, recover), eventually)
      .toContain('bring back a Disk into namespace default: ask for the permission create on disks there')
    expect(await act(dave, recover)).toBe('accepted')
  })

  test('[DEL-16] name what an object can be called, and are taken back while it is under way', async () => {
    const entry = await putAway(ann, VirtualMachine, 'typed')
    const act = async (spec: object) => answerTo(change(ann, RecycledResource, entry, { spec }))
    expect(await act({ recoverAs: { namespace: 'My Lab' } })).toContain('write the name of a namespace')
    expect(await act({ recoverAs: { name: 'web_1' } })).toContain('write a name that an object can have')
    expect(await act({ recoverAs: { name: 'x'.repeat(64) } })).toContain('a VirtualMachine has no longer one')
    expect(await act({ ...recover, recoverAs: { name: 'web.1' } })).toBe('accepted')
    await phaseTo(world.kube, entry, 'Recovering')
    expect(await act({ recoverAs: { name: 'other' } })).toContain('it is being brought back')
    await report(world.kube, RecycledResource, entry, { recoverTo: { namespace: 'default', name: 'web.1' } })
    expect(await act({ recoverAs: { name: 'other' } })).toBe('accepted')
    const purge = change(world.kube, RecycledResource, entry, { spec: { action: 'Purge' } })
    expect(await answerTo(purge)).toContain('it is being brought back: wait for its end; what spec.action asked for')
    expect(await act({ action: null })).toBe('accepted')
    expect(await act(recover)).toContain('it is being brought back')
    const late = change(world.kube, RecycledResource, entry, { spec: { action: 'Purge' } })
    expect(await answerTo(late)).toContain('it is being brought back')
    await phaseTo(world.kube, entry, 'Purging')
    expect(await act({ recoverAs: null })).toContain('it is being destroyed: wait for its end')
  })
})

describe('The annotation holdfast.dev/recovered-from', () => {
  test('[DEL-16] is set and changed by nobody but Holdfast, and kept when an update drops it', async () => {
    const entry = await putAway(ann, Disk, 'kept')
    const { metadata } = await make(carol, Disk, 'forged', { annotations: { [ORIGIN]: entry } })
    expect(metadata.annotations?.[ORIGIN]).toBeUndefined()
    await change(carol, Disk, 'forged', { metadata: { annotations: { [ORIGIN]: entry } } })
    expect((await read(Disk, 'forged')).metadata.annotations?.[ORIGIN]).toBeUndefined()

    await make(ann, Disk, 'kept', asking(entry))
    for (const value of [null, NOBODY]) {
      await change(carol, Disk, 'kept', { metadata: { annotations: { [ORIGIN]: value } } })
      expect((await read(Disk, 'kept')).metadata.annotations).toMatchObject({ [ORIGIN]: entry })
    }
    const late = await change(ann, Disk, 'forged', { metadata: asking(entry) })
    expect(late.warnings[0]).toContain('does nothing here: it is read when an object is made')
  })

  test.each([[[]], [['--server-side']]])(
    '[DEL-16] makes no apply but the first change anything (%o)',
    async (options) => {
      const name = `applied${options.length}`
      const entry = await putAway(ann, Disk, name)
      const manifest = JSON.stringify({
        apiVersion: 'storage.holdfast.dev/v1alpha1',
        kind: 'Disk',
        metadata: { name, namespace: 'default', ...asking(entry) },
        spec: { size: '1Gi' },
      })
      const apply = async () => kubectl(world.kubectl, ['apply', ...options, '-f', '-'], manifest)
      await apply()
      const { metadata } = await read(Disk, name)
      expect(metadata.annotations).toMatchObject({ [ORIGIN]: entry })
      const again = await apply()
      expect((await read(Disk, name)).metadata).toEqual(metadata)
      expect(again).toContain(options.length === 0 ? 'unchanged' : 'serverside-applied')
    },
  )
})

async function read(kind: Kind, name: string): Promise<Resource> {
  const path = objectPath(kind, { namespace: 'default', name })
  return (await world.kube.send<Resource>({ method: 'GET', path })).body
}
