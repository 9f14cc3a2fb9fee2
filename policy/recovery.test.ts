import { describe, expect, test } from 'vitest'
import type { RecycledResource } from '../crds/recycled-resource.ts'
import { binnedDisk, disk, image, machine, meta, newDisk } from '../crds/testing/objects.ts'
import { newestOf, recoveryObjection } from './recovery.ts'

const MACHINE_ID = '11111111-1111-4111-8111-111111111111'
type Spec = RecycledResource['spec']
type Status = RecycledResource['status']

/** The entry of Disk shop/data, which is on DataStorage local. */
function entry(spec: Partial<Spec> = {}, status: Status = { phase: 'Binned' }, name = 'data'): RecycledResource {
  const { uid } = meta(name)
  const held = { name, uid, id: uid, dataStorage: 'local', size: '1Gi' }
  return {
    apiVersion: 'platform.holdfast.dev/v1alpha1',
    kind: 'RecycledResource',
    metadata: meta(uid),
    spec: {
      resource: { apiVersion: 'storage.holdfast.dev/v1alpha1', kind: 'Disk', namespace: 'shop', name, uid },
      deletion: { by: 'ann', at: '2026-01-01T00:00:00Z', policy: 'Never' },
      contents: { manifest: {}, host: 'host-a', disks: [held] },
      ...spec,
    },
    status,
  }
}

const ofMachine: Partial<Spec> = {
  resource: { ...entry().spec.resource, kind: 'VirtualMachine', name: 'web' },
  contents: { manifest: {}, machineId: MACHINE_ID },
}

const withData: Partial<Spec> = {
  ...ofMachine,
  contents: { manifest: {}, disks: [binnedDisk('web-root', { dataStorage: 'fast' }), binnedDisk('data')] },
}

describe('An entry of the recycle bin', () => {
  test.each([
    ['a disk of its name', entry(), newDisk(), 'nothing'],
    ['a disk of another name', entry(), disk('other'), 'nothing'],
    ['a disk on its storage', entry(), newDisk({ dataStorage: 'local' }), 'nothing'],
    ['a machine', entry(ofMachine), machine(), 'nothing'],
    ['the machine that it adopts', entry(ofMachine), machine({ adopt: { machineId: MACHINE_ID } }), 'nothing'],
    ['a disk that went along with it', entry(withData), newDisk({ dataStorage: 'local' }), 'nothing'],
    ['its root disk', entry(withData), newDisk({}, { name: 'web-root' }), 'and this is another kind: Disk'],
    ['a disk that did not', entry(withData), newDisk({}, { name: 'other' }), 'and this is another kind: Disk'],
    [
      'one that did, on another storage',
      entry(withData),
      newDisk({ dataStorage: 'fast' }),
      'has its file on DataStorage local',
    ],
    ['another kind', entry(), image(), 'holds Disk shop/data, and this is another kind: Image'],
    ['another namespace', entry(), newDisk({}, { namespace: 'lab' }), 'is from namespace shop: to bring it back'],
    ['another storage', entry(), newDisk({ dataStorage: 'fast' }), 'has its file on DataStorage local: write that'],
    ['another machine', entry(ofMachine), machine({ adopt: { machineId: meta('x').uid } }), 'leave that out'],
    ['what is being put away', entry({}, {}), newDisk(), 'is still being put away: try again in a moment'],
    ['what is being destroyed', entry({}, { phase: 'Purging' }), newDisk(), 'is being destroyed'],
    ['what is to be destroyed', entry({ action: 'Purge' }), newDisk(), 'take spec.action off it first'],
    ['what comes back', entry({}, { phase: 'Recovering' }), newDisk(), 'is being brought back as shop/data'],
    [
      'what comes back as another',
      entry({}, { phase: 'Recovering', recoveringAs: { namespace: 'shop', name: 'other' } }),
      newDisk(),
      'is being brought back as shop/other',
    ],
    [
      'what is destroyed at once',
      entry({ deletion: { by: 'ann', at: '2026-01-01T00:00:00Z', policy: 'Immediate' } }),
      newDisk(),
      'is destroyed at once',
    ],
  ])('[DEL-16] as %s is objected to for a reason, or not', (_, from, object, why) => {
    expect(recoveryObjection(from, object) ?? 'nothing').toContain(why)
  })
})

describe('The newest entry of a name', () => {
  const at = (day: number, more: Partial<Spec> = {}, status?: Status) => {
    const deletion = { by: 'ann', at: `2026-01-0${day}T00:00:00Z`, policy: 'Never' } as const
    const made = entry({ deletion, ...more }, status, `on-${day}`)
    return { ...made, metadata: { ...made.metadata, creationTimestamp: deletion.at } }
  }
  /** Its time of deletion is an estimate, and half a second too late. */
  const late = (one: RecycledResource): RecycledResource => ({
    ...one,
    spec: { ...one.spec, deletion: { ...one.spec.deletion, at: '2026-01-01T00:00:00.500Z' } },
  })
  const version = (one: RecycledResource, resourceVersion: string, name: string): RecycledResource => ({
    ...one,
    metadata: { ...one.metadata, resourceVersion },
    spec: { ...one.spec, resource: { ...one.spec.resource, name } },
  })
  const unseen = { contents: { manifest: {} } }
  const bare = { contents: { manifest: { spec: {} }, disks: [] } }
  const immediate = { deletion: { by: 'ann', at: '2026-01-09T00:00:00Z', policy: 'Immediate' } } as const
  test.each<[string, RecycledResource[], string | undefined]>([
    ['of none', [], undefined],
    ['of two', [at(1), at(2)], 'on-2'],
    ['of two of one second', [late(version(at(1), '9', 'older')), version(at(1), '10', 'newer')], 'newer'],
    [
      'that is not gone',
      [at(1), at(2, {}, { phase: 'Purging' }), at(3, { action: 'Purge' }), at(9, immediate)],
      'on-1',
    ],
    ['that does not become another', [at(1), at(2, { recoverAs: { name: 'x' } }, { phase: 'Recovering' })], 'on-1'],
    ['that is still being put away', [at(1), at(2, {}, {})], 'on-2'],
    ['that holds something', [at(1), at(2, unseen, { phase: 'Binned' })], 'on-1'],
    ['of none that holds something', [at(1, unseen, { phase: 'Binned' })], undefined],
    ['that has more than a manifest', [at(1), at(2, bare, { phase: 'Binned' })], 'on-1'],
    ['of those with a manifest alone', [at(1, bare, { phase: 'Binned' }), at(2, bare, { phase: 'Binned' })], 'on-2'],
    ['that has a file, if nothing else', [at(1), at(2, {}, { phase: 'Binned' })], 'on-2'],
    ['that comes back here', [at(1), at(2, {}, { phase: 'Recovering' })], 'on-2'],
  ])('[DEL-16] is the one %s', (_, entries, name) => {
    expect(newestOf(entries)?.spec.resource.name).toBe(name)
  })
})
