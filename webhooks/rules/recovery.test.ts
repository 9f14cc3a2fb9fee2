import { describe, expect, test } from 'vitest'
import { Disk } from '../../crds/disk.ts'
import type { RecycledResource } from '../../crds/recycled-resource.ts'
import { binnedDisk, entry as newEntry, machine, meta, newDisk } from '../../crds/testing/objects.ts'
import { VirtualMachine } from '../../crds/virtual-machine.ts'
import { defaultDeletion } from '../../policy/deletion.ts'
import { rulesFor } from './index.ts'
import { nameReuseWarnings } from './name-reuse.ts'
import { recoveryWarnings } from './recovery.ts'
import { firstObjection } from './rule.ts'
import { deletionPolicyChange, guard, type WriteFacts } from './write.ts'

const ENTRY = meta('data').uid
const RECOVER = 'holdfast.dev/recover'
const ORIGIN = 'holdfast.dev/recovered-from'
const REUSE = 'holdfast.dev/on-name-reuse'
const OWNER = 'holdfast.dev/owner'

/** The entry of Disk shop/data of ann: 4 GiB that were made of an image. */
const entry: RecycledResource = {
  apiVersion: 'platform.holdfast.dev/v1alpha1',
  kind: 'RecycledResource',
  metadata: meta('entry', { name: ENTRY, labels: { [OWNER]: 'ann' } }),
  spec: {
    resource: {
      apiVersion: 'storage.holdfast.dev/v1alpha1',
      kind: 'Disk',
      namespace: 'shop',
      name: 'data',
      uid: ENTRY,
    },
    deletion: { by: 'flux', at: '2026-01-01T00:00:00Z', policy: 'Never' },
    contents: {
      manifest: { spec: { size: '4Gi', source: { image: { name: 'debian' } } } },
      disks: [{ name: 'data', uid: ENTRY, id: ENTRY, dataStorage: 'local', size: '4Gi' }],
    },
  },
  status: { phase: 'Binned' },
}
const recovery = { name: ENTRY, entry, owner: 'ann' }
const labels = { [OWNER]: 'ann' }

/** Disk shop/data is made, and marked by admission as coming from the entry, with these annotations of its manifest. */
function create(annotations: Record<string, string>, more: Partial<WriteFacts> = {}): WriteFacts {
  const object = newDisk(
    { size: '4Gi', source: { image: { name: 'debian' } } },
    { annotations: { [ORIGIN]: ENTRY, ...annotations }, labels },
  )
  const caller = { person: 'ann', owner: 'ann', can: ({ verb }: { verb: string }) => verb === 'recover' }
  return {
    kind: Disk,
    object,
    before: undefined,
    settings: defaultDeletion,
    recovery,
    binned: [entry],
    ...caller,
    ...more,
  }
}

function objection(facts: WriteFacts) {
  const rules = rulesFor({ group: Disk.group, resource: Disk.plural })
  if (!rules) throw new Error('there are no rules for a Disk')
  return firstObjection([...rules.guarded.map(guard), ...rules.write], facts)?.reason
}

/** The same of an object that the garbage collector deletes when that ConfigMap is gone. */
function ownedBy(facts: WriteFacts): WriteFacts {
  const { metadata, ...rest } = facts.object
  const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: meta('owner').uid }
  const owners = { ownerReferences: [owner] }
  return { ...facts, object: { ...rest, metadata: { ...metadata, ...owners } } }
}

const asked = { [RECOVER]: ENTRY }
const restored = { [REUSE]: 'Restore' }
const nobody = { can: () => false }
const everybody = { can: () => true }
const byBob = { person: 'bob', owner: 'bob' }
const none = { recovery: { name: ENTRY, entry: undefined, owner: undefined } }
const unmarked = newDisk({}, { labels })
const unmarkedWith = (key: string, value: string) => newDisk({}, { labels, annotations: { [key]: value } })
/** The entry of VirtualMachine shop/web, which took Disk data along. */
const web = newEntry('VirtualMachine', 'web', {
  manifest: { spec: { rootDisk: { imageRef: { name: 'debian' } }, deletionPolicy: 'Never' } },
  disks: [
    binnedDisk('web-root'),
    {
      ...binnedDisk('data', { size: '4Gi' }),
      manifest: { spec: { size: '4Gi', source: { image: { name: 'debian' } } } },
    },
  ],
})
const withWeb = { name: ENTRY, entry: web, owner: 'ann' }
const before = newDisk({}, { annotations: { [ORIGIN]: ENTRY }, labels })

describe('A write of what the recycle bin has', () => {
  test.each<[string, WriteFacts, string | undefined]>([
    ['asks for the entry', create(asked), undefined],
    ['restores its name', create(restored), undefined],
    ['restores by the settings', create({}, { settings: { ...defaultDeletion, onNameReuse: 'Restore' } }), undefined],
    ['asks, where names are denied', create({ ...asked, [REUSE]: 'Deny' }), undefined],
    ['asks, and may not', create(asked, nobody), 'NotPermitted'],
    ['restores, and may not', create(restored, nobody), 'NotPermitted'],
    ['asks for what another owns', create(asked, byBob), 'NotPermitted'],
    ['asks for what another owns, and may', create(asked, { ...byBob, ...everybody }), undefined],
    ['asks for what is gone', create(asked, none), 'NotRecoverable'],
    [
      'asks for what has no name',
      create({ [RECOVER]: 'it', [ORIGIN]: '' }, { recovery: undefined }),
      'AnnotationInvalid',
    ],
    ['is marked by hand', create({}), 'NotByHand'],
    ['is marked as another one', create({ [RECOVER]: meta('other').uid }), 'NotByHand'],
    ['keeps its mark', create({}, { before, recovery: undefined }), undefined],
    ['gets another mark', create({ [ORIGIN]: meta('x').uid }, { before, recovery: undefined }), 'NotByHand'],
    ['is marked later', create({}, { before: unmarked, recovery: undefined }), 'NotByHand'],
    ['is a new one', create({}, { recovery: undefined, object: unmarked }), undefined],
    ['asks, and goes with another object', ownedBy(create(asked, everybody)), 'NotRecoverable'],
    ['restores, and goes with another object', ownedBy(create(restored, everybody)), 'NotRecoverable'],
    [
      'is a new one that goes with another object',
      ownedBy(create({}, { recovery: undefined, object: unmarked })),
      undefined,
    ],
  ])('[DEL-16] that %s', (_name, facts, reason) => {
    expect(objection(facts)).toBe(reason)
  })
})

describe('A write of a Disk that went along with its machine', () => {
  const elsewhere = { ...web, spec: { ...web.spec, resource: { ...web.spec.resource, namespace: 'lab' } } }
  test.each<[string, WriteFacts, string | undefined]>([
    ['asks for the entry of that', create(asked, { recovery: withWeb }), undefined],
    ['restores its name', create(restored, { recovery: withWeb }), undefined],
    ['asks, and may not', create(asked, { recovery: withWeb, ...nobody }), 'NotPermitted'],
    [
      'asks in another namespace',
      create(asked, { recovery: { ...withWeb, entry: elsewhere }, ...everybody }),
      'NotRecoverable',
    ],
    [
      'names what is not in it',
      create(asked, { recovery: { ...withWeb, entry: newEntry('VirtualMachine', 'web') } }),
      'NotRecoverable',
    ],
    [
      'is denied its name',
      create({ [REUSE]: 'Deny' }, { recovery: undefined, binned: [web], object: unmarkedWith(REUSE, 'Deny') }),
      'NameInRecycleBin',
    ],
  ])('[DEL-20] that %s', (_name, facts, reason) => {
    expect(objection(facts)).toBe(reason)
  })
})

describe('spec.deletionPolicy of what is brought back', () => {
  const spec = { ...entry.spec, contents: { ...entry.spec.contents, manifest: { spec: { deletionPolicy: 'Never' } } } }
  const kept = { ...recovery, entry: { ...entry, spec } }
  const setter = { can: ({ verb }: { verb: string }) => verb === 'recover' || verb === 'setDeletionPolicy' }

  test.each<[string, 'Never' | 'Immediate' | undefined, Partial<WriteFacts>, string | undefined]>([
    ['is what it was', 'Never', {}, undefined],
    ['is left out', undefined, {}, 'NotPermitted'],
    ['is another', 'Immediate', {}, 'NotPermitted'],
    ['is left out by who may set it', undefined, setter, undefined],
  ])('[DEL-13] that %s', (...[, deletionPolicy, who, reason]) => {
    const facts = create(asked, { recovery: kept, ...who })
    const policy = deletionPolicy && { deletionPolicy }
    expect(objection({ ...facts, object: newDisk({ ...policy }, facts.object.metadata) })).toBe(reason)
  })

  test('[DEL-13] is named to who left it out', () => {
    const message = firstObjection(
      [guard(deletionPolicyChange)],
      create(asked, { recovery: kept, can: () => false }),
    )?.message
    expect(message).toContain('write Never there, as it was, or ask for the permission setDeletionPolicy on disks')
  })
})

describe('A warning', () => {
  const back = `Disk shop/data, deleted by flux at 2026-01-01T00:00:00Z, is brought back from the recycle bin (${ENTRY})`

  test('[DEL-16] says what comes back, and not that it is new', () => {
    expect([recoveryWarnings(create(asked)), nameReuseWarnings(create(asked))]).toEqual([[back], []])
  })

  test('[DEL-16] says that nothing comes back from an entry with nothing in it', () => {
    const spec = { ...entry.spec, contents: { manifest: {} } }
    expect(recoveryWarnings(create(asked, { recovery: { ...recovery, entry: { ...entry, spec } } }))).toEqual([
      `entry ${ENTRY} of the recycle bin holds nothing, for nobody saw its object before that went: this one is made anew, as its manifest says`,
    ])
  })

  test('[DEL-16] says what of the manifest is not done to a disk', () => {
    const facts = create(asked)
    const object = newDisk({ size: '2Gi' }, facts.object.metadata)
    expect(recoveryWarnings({ ...facts, object })).toEqual([
      back,
      'spec.size is smaller than before: the disk keeps its 4Gi',
      'spec.source is another than before: the disk comes back with what is on it',
    ])
  })

  test('[DEL-16] says what of the manifest is not done to the root disk of a machine', () => {
    const manifest = { spec: { rootDisk: { imageRef: { name: 'fedora' } } } }
    const ofMachine = {
      ...recovery,
      entry: newEntry('VirtualMachine', 'web', { manifest, disks: [binnedDisk('web-root')] }),
    }
    const facts = { ...create(asked), kind: VirtualMachine, object: machine(), recovery: ofMachine }
    expect(recoveryWarnings(facts)[1]).toBe(
      'spec.rootDisk is another than before: Disk web-root comes back as it was, and nothing is written to it',
    )
  })

  test('[DEL-20] says with which machine a Disk comes back that went along with it, and what of it is not done', () => {
    const facts = create(asked, { recovery: withWeb, binned: [web] })
    const object = newDisk({ size: '2Gi', source: { image: { name: 'debian' } } }, facts.object.metadata)
    expect([recoveryWarnings({ ...facts, object }), nameReuseWarnings(facts)]).toEqual([
      [
        `Disk shop/data comes back from the recycle bin (${ENTRY}) together with VirtualMachine shop/web, deleted by ann at 2026-01-01T00:00:00Z: apply that too, or run: kubectl patch recycled ${ENTRY} --type=merge -p '{"spec":{"action":"Recover"}}'`,
        'spec.size is smaller than before: the disk keeps its 4Gi',
      ],
      [],
    ])
  })

  test('[DEL-20] says that a Disk of the name went along with its machine, and the way back', () => {
    const facts = create({}, { recovery: undefined, binned: [web] })
    const { name } = web.metadata
    expect(nameReuseWarnings(facts)).toEqual([
      `the recycle bin has VirtualMachine shop/web, deleted by ann at 2026-01-01T00:00:00Z (${name}), which took a Disk of this name along; this is a new one`,
      `to have the old one, delete this one, and bring that machine back: kubectl patch recycled ${name} --type=merge -p '{"spec":{"action":"Recover"}}'`,
    ])
  })

  test.each([
    ['is asked of an object that is there', asked, before, 0],
    ['is asked of another object', { [RECOVER]: meta('x').uid }, before, 1],
    ['was asked before', { [RECOVER]: meta('x').uid }, newDisk({}, { annotations: { [RECOVER]: meta('x').uid } }), 0],
  ])('[DEL-16] says that it is too late when it %s', (_, annotations, was, count) => {
    expect(recoveryWarnings(create(annotations, { before: was, recovery: undefined }))).toHaveLength(count)
  })
})
