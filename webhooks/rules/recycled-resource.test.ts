import { describe, expect, test } from 'vitest'
import type { ObjectMeta } from '../../crds/common.ts'
import { RecycledResource } from '../../crds/recycled-resource.ts'
import { attachment, binnedDisk, entry as newEntry, meta } from '../../crds/testing/objects.ts'
import { defaultDeletion } from '../../policy/deletion.ts'
import { rulesFor } from './index.ts'
import { firstObjection } from './rule.ts'
import { guard, type WriteFacts } from './write.ts'

type Spec = RecycledResource['spec']

const ENTRY = meta('data').uid

/** The entry of Disk shop/data of alice. */
function entry(spec: Partial<Spec> = {}, metadata: Partial<ObjectMeta> = {}): RecycledResource {
  const resource = { kind: 'Disk', namespace: 'shop', name: 'data', uid: ENTRY } as const
  return {
    apiVersion: 'platform.holdfast.dev/v1alpha1',
    kind: 'RecycledResource',
    metadata: meta('entry', { name: ENTRY, labels: { 'holdfast.dev/owner': 'alice' }, ...metadata }),
    spec: {
      resource: { apiVersion: 'storage.holdfast.dev/v1alpha1', ...resource },
      deletion: { by: 'alice', at: '2026-01-01T00:00:00Z', policy: 'Never' },
      ...spec,
    },
    status: { phase: 'Binned' },
  }
}

/** What somebody is told who turns one into the other; undefined where it goes through. */
function objection(before: RecycledResource, object: RecycledResource, who: Partial<WriteFacts> = {}) {
  const rules = rulesFor({ group: RecycledResource.group, resource: RecycledResource.plural })
  if (!rules) throw new Error('there are no rules for an entry')
  const caller = { person: 'alice', owner: 'alice', can: () => true }
  const settings = defaultDeletion
  const facts = { kind: RecycledResource, object, before, settings, recovery: undefined, binned: [], ...caller, ...who }
  return firstObjection([...rules.guarded.map(guard), ...rules.write], facts)
}

const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'gone', uid: meta('gone').uid }

describe('An entry of the recycle bin', () => {
  test.each<[string, object, object, boolean]>([
    ['gets an owner', {}, { ownerReferences: [owner] }, true],
    ['gets another owner', { ownerReferences: [owner] }, { ownerReferences: [{ ...owner, kind: 'Secret' }] }, true],
    ['loses its owner', { ownerReferences: [owner] }, {}, false],
    [
      'is let go by its owner',
      { ownerReferences: [{ ...owner, blockOwnerDeletion: true }] },
      { ownerReferences: [{ ...owner, blockOwnerDeletion: false }] },
      false,
    ],
    ['gets a finalizer', {}, { finalizers: ['shop/mine'] }, true],
    ['loses a finalizer', { finalizers: ['shop/mine'] }, {}, false],
    ['gets a note', {}, { annotations: { note: 'keep' } }, false],
  ])('[DEL-08] that %s by hand', (_name, before, after, isRefused) => {
    expect(objection(entry({}, before), entry({}, after))?.reason).toBe(isRefused ? 'NotByHand' : undefined)
  })
})

/** Who holds these, as `verb plural namespace`. */
const holding = (...held: string[]): Partial<WriteFacts> => ({
  can: ({ verb, plural, namespace }) => held.includes([verb, plural, namespace].filter(Boolean).join(' ')),
})
const alice = holding('recover recycledresources', 'create disks shop')
const bob = { ...holding('recover recycledresources', 'create disks lab'), person: 'bob', owner: 'bob' }
const carol = { ...holding('purge recycledresources'), person: 'carol', owner: 'carol' }
const recover = { action: 'Recover' } as const
const purge = { action: 'Purge' } as const
const intoLab = { recoverAs: { namespace: 'lab' } }
const ANOTHERS = 'bob may not bring back what alice owns: let them do it, or ask for the permission setOwner on disks'
const NO_RECOVER = 'may not recover what was deleted: ask for the permission recover on recycledresources'
const NO_PURGE = 'may not purge what was deleted, nor call that off: ask for the permission purge on recycledresources'
const intoNamespace = (person: string, namespace: string) =>
  `${person} may not bring back a Disk into namespace ${namespace}: ask for the permission create on disks there, or write another namespace into spec.recoverAs`

describe('What somebody writes to an entry of alice', () => {
  test.each<[string, Partial<Spec>, Partial<Spec>, Partial<WriteFacts>, string | undefined]>([
    ['Recover, their own', {}, recover, alice, undefined],
    ['Recover, of another', {}, recover, bob, ANOTHERS],
    ['Recover, of another, into their own namespace', {}, { ...recover, ...intoLab }, bob, ANOTHERS],
    [
      'Recover, of another, and may set owners',
      {},
      { ...recover, ...intoLab },
      { ...bob, ...holding('recover recycledresources', 'create disks lab', 'setOwner disks shop') },
      undefined,
    ],
    [
      'Recover, of another, and may set owners in another namespace',
      {},
      { ...recover, ...intoLab },
      { ...bob, ...holding('recover recycledresources', 'create disks lab', 'setOwner disks lab') },
      ANOTHERS,
    ],
    ['Recover, elsewhere', {}, { ...recover, ...intoLab }, alice, intoNamespace('alice', 'lab')],
    [
      'Recover, where they make nothing',
      {},
      recover,
      holding('recover recycledresources'),
      intoNamespace('alice', 'shop'),
    ],
    ['Recover, and may not', {}, recover, holding('create disks shop'), `alice ${NO_RECOVER}`],
    ['a place alone, and may not', {}, intoLab, carol, `carol ${NO_RECOVER}`],
    ['a place alone, of another', {}, intoLab, bob, ANOTHERS],
    ['a place alone, elsewhere', {}, intoLab, alice, intoNamespace('alice', 'lab')],
    ['another place', recover, { ...recover, recoverAs: { name: 'x' } }, alice, undefined],
    ['another place, of another', recover, { ...recover, recoverAs: { name: 'x' } }, bob, ANOTHERS],
    ['no Recover any more', { ...recover, ...intoLab }, intoLab, alice, undefined],
    ['no Recover any more, and may not', recover, {}, carol, `carol ${NO_RECOVER}`],
    ['no Recover any more, of another', recover, {}, bob, ANOTHERS],
    ['Purge', {}, purge, carol, undefined],
    ['Purge, and may not', {}, purge, alice, `alice ${NO_PURGE}`],
    ['no Purge any more', purge, {}, carol, undefined],
    ['no Purge any more, and may not', purge, {}, alice, `alice ${NO_PURGE}`],
    ['Purge in place of Recover', recover, purge, carol, `carol ${NO_RECOVER}`],
    ['nothing new', { ...recover, ...intoLab }, { ...recover, ...intoLab }, carol, undefined],
  ])('[DEL-17] %s', (...[, before, after, who, sentence]) => {
    expect(objection(entry(before), entry(after), who)?.message).toBe(sentence)
  })

  test('[DEL-17] is asked of the owner whom it had, and not of one who is set with it', () => {
    const stolen = entry(recover, { labels: { 'holdfast.dev/owner': 'bob' } })
    expect(objection(entry(), stolen, bob)?.message).toBe(ANOTHERS)
    const unowned = entry({}, { labels: {} })
    expect(objection(unowned, entry({ ...recover, ...intoLab }, { labels: {} }), bob)).toBeUndefined()
  })
})

describe('What somebody writes to the entry of a machine of alice that took a Disk along', () => {
  const web = (more: Partial<Spec>): RecycledResource => {
    const { metadata, ...rest } = newEntry('VirtualMachine', 'web', {
      disks: [binnedDisk('web-root'), binnedDisk('data')],
    })
    return {
      ...rest,
      metadata: { ...metadata, labels: { 'holdfast.dev/owner': 'alice' } },
      spec: { ...rest.spec, ...more },
    }
  }
  const machines = ['recover recycledresources', 'create virtualmachines shop']
  test.each([
    ['is Recover', [...machines, 'create disks shop'], undefined],
    [
      'is Recover, where they make no Disks',
      machines,
      'alice may not bring back the Disks of a machine into namespace shop: ask for the permission create on disks there, or write another namespace into spec.recoverAs',
    ],
  ])('[DEL-20] %s', (_, held, sentence) => {
    expect(objection(web({}), web(recover), holding(...held))?.message).toBe(sentence)
  })

  test('[DEL-20] is Recover before it is put away, where they make no Disks', () => {
    const pending = { contents: undefined, lastSeen: { manifest: {} } }
    expect(objection(web(pending), web({ ...pending, ...recover }), holding(...machines))?.message).toContain(
      'ask for the permission create on disks there',
    )
  })

  const inLab = ['recover recycledresources', 'create virtualmachines lab', 'create disks lab']
  const NO_MARKS =
    'alice may not bring back a machine into namespace lab that has Disks deleted with it: ask for the permission delete on disks there, or write another namespace into spec.recoverAs'
  const marked = { spec: { disks: [attachment('data', true), attachment('scratch')] } }
  const unmarked = { spec: { disks: [attachment('data')] } }
  test.each<[string, Partial<Spec>, string[], string | undefined]>([
    ['has no marks', { contents: { manifest: unmarked } }, inLab, undefined],
    ['has a mark', { contents: { manifest: marked } }, inLab, NO_MARKS],
    [
      'has a mark, and they delete Disks there',
      { contents: { manifest: marked } },
      [...inLab, 'delete disks lab'],
      undefined,
    ],
    [
      'has a mark, and they delete Disks here',
      { contents: { manifest: marked } },
      [...inLab, 'delete disks shop'],
      NO_MARKS,
    ],
    ['had no mark when it was last seen', { contents: undefined, lastSeen: { manifest: unmarked } }, inLab, NO_MARKS],
    ['was seen by nobody yet', { contents: undefined }, inLab, NO_MARKS],
  ])('[DEL-20] is Recover into another namespace, and it %s', (_, more, held, sentence) => {
    const wanted = { ...more, ...recover, ...intoLab }
    expect(objection(web(more), web(wanted), holding(...held))?.message).toBe(sentence)
  })
})
