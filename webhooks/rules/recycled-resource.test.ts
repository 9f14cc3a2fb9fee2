import { describe, expect, test } from 'vitest'
import type { ObjectMeta } from '../../crds/common.ts'
import { RecycledResource } from '../../crds/recycled-resource.ts'
import { meta } from '../../crds/testing/objects.ts'
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
