import { describe, expect, test } from 'vitest'
import type { DeletionPolicy, DeletionSettings } from '../crds/deletion.ts'
import type { Disk } from '../crds/disk.ts'
import type { RecyclableKind, RecycledResource } from '../crds/recycled-resource.ts'
import { entry, newDisk } from '../crds/testing/objects.ts'
import { MACHINE_ID_LABEL } from '../crds/virtual-machine.ts'
import { confirmationToken } from './confirmation.ts'
import {
  confirmationFor,
  decideDeletion,
  defaultDeletion,
  entriesOfMaker,
  isRecyclable,
  machineIn,
  retentionMs,
  toStamp,
} from './deletion.ts'

const now = new Date('2026-01-01T00:00:00Z')
const policies: readonly DeletionPolicy[] = ['Immediate', 'Delayed', 'Never']
const kinds: readonly RecyclableKind[] = ['VirtualMachine', 'Disk', 'Image']
const fields = { VirtualMachine: 'virtualMachine', Disk: 'disk', Image: 'image' } as const

function settings(kind: RecyclableKind, policy: DeletionPolicy): DeletionSettings {
  const field = fields[kind]
  return { ...defaultDeletion, [field]: { ...defaultDeletion[field], policy } }
}

describe('What a delete does', () => {
  test.each<[RecyclableKind, string]>([
    ['VirtualMachine', '2026-01-08T00:00:00.000Z'],
    ['Disk', '2026-01-04T00:00:00.000Z'],
    ['Image', '2026-01-04T00:00:00.000Z'],
  ])('[DEL-09] [DEL-10] [DEL-11] by default: %s is Delayed until %s', (kind, purgeAt) => {
    const decision = decideDeletion({ kind, override: undefined, settings: defaultDeletion, now })
    expect(decision).toMatchObject({ policy: 'Delayed', purgeAt: new Date(purgeAt) })
  })

  const table = kinds.flatMap((kind) =>
    policies.flatMap((byKind) =>
      [undefined, ...policies].map((override) => ({ kind, byKind, override, policy: override ?? byKind })),
    ),
  )
  test.each(table)('[DEL-13] $kind, set $byKind, override $override: $policy', ({ kind, byKind, override, policy }) => {
    const decision = decideDeletion({ kind, override, settings: settings(kind, byKind), now })
    expect(decision.policy).toBe(policy)
    const stamp = toStamp('ann', decision)
    expect(stamp).toMatchObject({ by: 'ann', at: now.toISOString(), policy })
    expect([stamp.purgeAt !== undefined, stamp.retention !== undefined]).toEqual(
      policy === 'Delayed' ? [true, true] : [false, false],
    )
  })

  test.each<[DeletionPolicy, DeletionPolicy, DeletionPolicy | undefined, string]>([
    ['Immediate', 'Never', undefined, 'Never'],
    ['Immediate', 'Delayed', undefined, '7d'],
    ['Immediate', 'Immediate', undefined, 'Immediate'],
    ['Delayed', 'Never', undefined, 'Never'],
    ['Delayed', 'Delayed', undefined, '7d'],
    ['Delayed', 'Immediate', undefined, '3d'],
    ['Delayed', 'Immediate', 'Never', 'Never'],
    ['Delayed', 'Never', 'Immediate', '3d'],
    ['Never', 'Immediate', undefined, 'Never'],
  ])('[DEL-08] to a Disk, set %s, of a VirtualMachine, set %s, override %s: %s', (ofDisk, ofMachine, override, end) => {
    const both = { ...settings('Disk', ofDisk), virtualMachine: settings('VirtualMachine', ofMachine).virtualMachine }
    const question = { override: undefined, machine: { override }, settings: both, now }
    const decision = decideDeletion({ ...question, kind: 'Disk' })
    expect(decision.policy === 'Delayed' ? decision.retention : decision.policy).toBe(end)
    expect(decideDeletion({ ...question, kind: 'Image' }).policy).toBe('Delayed')
  })

  const machineId = '11111111-1111-4111-8111-111111111111'
  const otherId = '22222222-2222-4222-8222-222222222222'
  const labels = { [MACHINE_ID_LABEL]: machineId }
  const root = newDisk({}, { name: 'web-root', labels })
  const stamped = (deletion: object, spec: object = {}): RecycledResource => {
    const found = entry('VirtualMachine', 'web')
    return { ...found, spec: { ...found.spec, ...spec, deletion: { ...found.spec.deletion, ...deletion } } }
  }
  const lasting = { policy: 'Delayed', retention: '30d', purgeAt: '2026-01-31T00:00:00.000Z' }

  test.each<[string, object, string | undefined]>([
    ['for good', { policy: 'Never' }, undefined],
    ['for longer than settings say', lasting, lasting.purgeAt],
    ['for less long than settings say', { purgeAt: '2026-01-02T00:00:00.000Z' }, '2026-01-08T00:00:00.000Z'],
  ])('[DEL-08] to a Disk of a VirtualMachine that is in the bin %s keeps it as long', (_, deletion, purgeAt) => {
    const machine = { override: undefined, binned: [stamped(deletion)] }
    const question = { kind: 'Disk', override: 'Immediate', settings: defaultDeletion, now, machine } as const
    expect(toStamp('ann', decideDeletion(question)).purgeAt).toBe(purgeAt)
  })

  test.each<[string, Disk, RecycledResource, boolean]>([
    ['of the machine that it was made for', root, stamped({}, { contents: { manifest: {}, machineId } }), true],
    ['as its delete saw it', root, stamped({}, { contents: undefined, lastSeen: { manifest: {}, machineId } }), true],
    ['that knows nothing of its machine', root, stamped({}, { contents: undefined }), true],
    ['of another one of that name', root, stamped({}, { contents: { manifest: {}, machineId: otherId } }), false],
    ['that is asked for by a disk of no machine', newDisk({}, { name: 'web-root' }), stamped({}), false],
  ])('[DEL-08] to a Disk heeds an entry %s', (_, disk, found, isHeeded) => {
    const find = {
      ofObject: (...key: string[]) => (key.join('/') === 'VirtualMachine/shop/web' ? [found] : []),
      ofMachine: (id: string) => (id === machineIn(found) ? [found] : []),
    }
    expect(entriesOfMaker(disk, find)).toEqual(isHeeded ? [found] : [])
    const attached = { ...disk, metadata: { ...disk.metadata, name: 'data' } }
    // Its name says nothing of the machine; the identity of that does.
    expect(entriesOfMaker(attached, find)).toEqual(isHeeded && machineIn(found) !== undefined ? [found] : [])
    const attachedTo = { virtualMachine: 'web', machineId }
    expect(entriesOfMaker({ ...attached, status: { attachedTo } }, find)).toEqual(isHeeded ? [found] : [])
  })

  test('[DEL-02] only three kinds have a recycle bin', () => {
    const all = ['VirtualMachine', 'Disk', 'Image', 'Host', 'DataStorage', 'PlatformSettings', 'toString']
    expect(all.filter(isRecyclable)).toEqual(kinds)
  })

  test.each([
    ['10s', 10_000],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['7d', 604_800_000],
    ['9999d', 863_913_600_000],
  ])('a retention of %s is %d ms', (text, ms) => {
    expect(retentionMs(text)).toBe(ms)
  })

  test.each(['', '7', 'd', '7w', '-1d', '1.5h', '1e3d', '999999d'])('%j is no retention, and not none', (text) => {
    expect(() => retentionMs(text)).toThrow(RangeError)
  })
})

describe('A confirmation', () => {
  test.each<[string, DeletionPolicy | undefined, string]>([
    ['VirtualMachine', 'Delayed', 'None'],
    ['VirtualMachine', 'Never', 'None'],
    ['VirtualMachine', 'Immediate', 'Required'],
    ['Disk', 'Immediate', 'Required'],
    ['Host', undefined, 'Required'],
    ['DataStorage', undefined, 'Required'],
    ['PlatformSettings', undefined, 'None'],
  ])('of %s under %s is %s by default', (kind, policy, wanted) => {
    expect(confirmationFor(kind, defaultDeletion, policy)).toBe(wanted)
  })

  test('is what the settings say', () => {
    const disk = { ...defaultDeletion.disk, confirmation: 'None' as const }
    const host = { confirmation: 'None' as const }
    const changed = { ...defaultDeletion, disk, host }
    expect(confirmationFor('Disk', changed, 'Immediate')).toBe('None')
    expect(confirmationFor('Host', changed, undefined)).toBe('None')
  })

  test('[REM-06] is worth nothing for another object, or for other consequences', () => {
    const hash = (text: string) => Buffer.from(text).toString('hex').split('').toReversed().join('')
    const token = confirmationToken('u-1', ['a', 'b'], hash)
    expect(token).toMatch(/^[0-9a-f]{8}$/)
    expect(confirmationToken('u-1', ['a', 'b'], hash)).toBe(token)
    for (const [uid, lines] of [
      ['u-1', ['a', 'c']],
      ['u-1', ['a', 'b', 'd']],
    ] as const) {
      expect(confirmationToken(uid, lines, hash)).not.toBe(token)
    }
  })
})
