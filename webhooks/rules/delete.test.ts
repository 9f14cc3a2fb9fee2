import { describe, expect, test } from 'vitest'
import { DataStorage } from '../../crds/data-storage.ts'
import { Disk } from '../../crds/disk.ts'
import { Host } from '../../crds/host.ts'
import { Image } from '../../crds/image.ts'
import type { Kind, Resource } from '../../crds/kind.ts'
import { dataStorage, disk, host, image, machine } from '../../crds/testing/objects.ts'
import { VirtualMachine } from '../../crds/virtual-machine.ts'
import { defaultDeletion } from '../../policy/deletion.ts'
import { objectionToDelete, objectionToOwner, reminder, type DeleteFacts } from './delete.ts'
import { rulesFor } from './index.ts'

const at = new Date('2026-01-01T00:00:00Z')
const purgeAt = new Date('2026-01-08T00:00:00Z')
const delayed = { policy: 'Delayed', at, retention: '7d', purgeAt } as const
/** It has no root disk of its own, whatever a disk of it is called. */
const booting = machine({ rootDisk: { diskRef: { name: 'boot' } } })
const objects = new Map<Kind, Resource>([
  [VirtualMachine, machine()],
  [Disk, disk('data')],
  [Image, image()],
  [Host, host()],
  [DataStorage, dataStorage()],
])

function facts(kind: Kind, more: Partial<DeleteFacts> = {}): DeleteFacts {
  const object = objects.get(kind)
  if (!object) throw new Error(`there is no ${kind.kind} to delete`)
  const decision = kind === Host || kind === DataStorage ? undefined : delayed
  const relations = { machines: [], disks: [], goAlong: [], heldBack: new Map(), storages: [], binned: [] }
  const settings = defaultDeletion
  const caller = { person: 'ann', isConsequence: false, brakeAllows: true, token: '01234567' }
  return { kind, object, decision, settings, ...relations, ...caller, ...more }
}

function rulesOf(kind: Kind) {
  const rules = rulesFor({ group: kind.group, resource: kind.plural })?.delete
  if (!rules) throw new Error(`${kind.kind} has no rules`)
  return rules
}

const objection = (kind: Kind, more: Partial<DeleteFacts>) => objectionToDelete(rulesOf(kind), facts(kind, more))
const many = Array.from({ length: 13 }, (_, index) => `shop/vm-${String(index).padStart(2, '0')}`)

describe('A delete', () => {
  test.each<[string, Kind, Partial<DeleteFacts>, string | undefined]>([
    ['of a machine with disks goes', VirtualMachine, { disks: ['shop/a'] }, undefined],
    ['of a disk goes', Disk, {}, undefined],
    ['of an image that is used goes', Image, { machines: ['shop/a'], disks: ['shop/b'] }, undefined],
    ['of an attached disk is refused', Disk, { machines: ['shop/web'] }, 'InUse'],
    ['of a host with machines is refused', Host, { machines: ['shop/web'] }, 'InUse'],
    ['of a storage with disks is refused', DataStorage, { disks: ['shop/a'] }, 'InUse'],
    ['of a host with binned things is refused', Host, { binned: ['Disk shop/a (e)'] }, 'InUse'],
    ['of a storage with binned disks is refused', DataStorage, { binned: ['Disk shop/a (e)'] }, 'InUse'],
    ['of an image that binned things came from goes', Image, { binned: ['Disk shop/a (e)'] }, undefined],
    ['of a host has to be confirmed', Host, {}, 'ConfirmationRequired'],
    ['of a storage has to be confirmed', DataStorage, {}, 'ConfirmationRequired'],
    ['at once has to be confirmed', Disk, { decision: { policy: 'Immediate', at } }, 'ConfirmationRequired'],
    ['for good does not', Disk, { decision: { policy: 'Never', at } }, undefined],
    ['beyond the brake is refused', Disk, { brakeAllows: false }, 'BrakeLatched'],
    ['in use is refused before the brake', Disk, { machines: ['shop/web'], brakeAllows: false }, 'InUse'],
    ['beyond the brake is refused before it is confirmed', Host, { brakeAllows: false }, 'BrakeLatched'],
    [
      'that follows from another goes',
      Disk,
      { machines: ['shop/web'], brakeAllows: false, isConsequence: true },
      undefined,
    ],
    ['of a host that follows from another goes too', Host, { isConsequence: true }, undefined],
    ['of a host with machines does not follow', Host, { machines: ['shop/web'], isConsequence: true }, 'InUse'],
    ['of a storage with disks does not follow', DataStorage, { disks: ['shop/a'], isConsequence: true }, 'InUse'],
    [
      'of a storage with binned disks does not follow',
      DataStorage,
      { binned: ['Disk shop/a (e)'], isConsequence: true },
      'InUse',
    ],
  ])('%s', (_, kind, more, reason) => {
    expect(objection(kind, more)?.reason).toBe(reason)
  })

  test.each<[Kind, Partial<DeleteFacts>]>([
    [Disk, { machines: ['shop/web'] }],
    [Host, { machines: ['shop/web'] }],
    [Host, { binned: ['Disk shop/a (e)'] }],
    [DataStorage, { disks: ['shop/a'] }],
    [Disk, { brakeAllows: false }],
    [Disk, { machines: ['shop/web'], brakeAllows: false }],
    [Host, {}],
    [Disk, {}],
    [Disk, { machines: ['shop/web'], isConsequence: true }],
  ])('[REM-07] is refused by another owner as by hand: %#', (kind, more) => {
    const byHand = objection(kind, { ...more, isConsequence: false })
    const byOwner = objectionToOwner(rulesOf(kind), facts(kind, more))
    expect(byOwner?.reason).toBe(byHand?.reason)
    const why = byHand && `an object goes with its owners, so another one counts as a delete: ${byHand.message}`
    expect(byOwner?.message).toBe(why)
  })

  test('[REM-06] is confirmed by its token, and by no other', () => {
    const given = (token: string) => {
      const { object } = facts(Host)
      const metadata = { ...object.metadata, annotations: { 'holdfast.dev/confirm-delete': token } }
      return objection(Host, { object: { ...object, metadata } })
    }
    expect(given('01234567')).toBeUndefined()
    expect(given('76543210')?.message).toContain('is not for these consequences')
  })

  test('[REM-07] names ten of those that use it, and counts the rest', () => {
    expect(objection(Host, { machines: many })?.message).toBe(
      `Host host-a has 13 VirtualMachines: ${many.slice(0, 10).join(', ')} and 3 more: delete these first`,
    )
  })

  test('[REM-07] names what the recycle bin has on a storage, with its entries and what to do', () => {
    const binned = ['VirtualMachine shop/web (e-2)', 'Disk shop/data (e-1)']
    expect(objection(DataStorage, { binned })?.message).toBe(
      'DataStorage local holds 2 objects that are in the recycle bin: Disk shop/data (e-1), VirtualMachine shop/web (e-2): set spec.action of these entries to Recover or Purge first',
    )
    expect(objection(DataStorage, { binned, disks: ['shop/a'] })?.message).toContain('has 1 Disk: shop/a')
  })

  test.each<[Kind, Partial<DeleteFacts>, readonly string[]]>([
    [
      VirtualMachine,
      { disks: ['shop/web-root', 'shop/b', 'shop/a'] },
      [
        'VirtualMachine shop/web is stopped and put into the recycle bin, together with its root disk',
        '2 Disks are detached and stay: shop/a, shop/b',
        'it is destroyed at 2026-01-08T00:00:00Z; until then it can be brought back',
      ],
    ],
    [
      VirtualMachine,
      {
        disks: ['shop/web-root', 'shop/c', 'shop/b', 'shop/a'],
        goAlong: ['shop/b', 'shop/a'],
        heldBack: new Map([['shop/c', 'belongs to another owner']]),
      },
      [
        'VirtualMachine shop/web is stopped and put into the recycle bin, together with its root disk',
        '2 Disks go along, as spec.disks says: shop/a, shop/b',
        '1 Disk is detached and stays: shop/c',
        'Disk shop/c is to go along, and stays: it belongs to another owner',
        'it is destroyed at 2026-01-08T00:00:00Z; until then it can be brought back',
      ],
    ],
    [
      VirtualMachine,
      { object: booting, disks: ['shop/boot', 'shop/web-root'] },
      [
        'VirtualMachine shop/web is stopped and put into the recycle bin',
        '2 Disks are detached and stay: shop/boot, shop/web-root',
        'it is destroyed at 2026-01-08T00:00:00Z; until then it can be brought back',
      ],
    ],
    [
      VirtualMachine,
      { decision: { policy: 'Immediate', at } },
      [
        'VirtualMachine shop/web is stopped and destroyed at once',
        'there is no way back: its deletion policy is Immediate',
      ],
    ],
    [
      Image,
      { machines: ['shop/a'], disks: ['shop/b', 'shop/c'], decision: { policy: 'Never', at } },
      [
        'Image shop/debian is put into the recycle bin for good',
        'it is named by 1 VirtualMachine and 2 Disks: what is made already stays, what is yet to be made waits for an Image of this name',
        'it is kept for good, takes its space for good, and can be brought back',
      ],
    ],
    [
      Image,
      { binned: ['VirtualMachine shop/a (e-1)', 'Disk shop/b (e-2)'] },
      [
        'Image shop/debian is put into the recycle bin',
        '2 objects in the recycle bin came from it, and can be brought back without it',
        'it is destroyed at 2026-01-08T00:00:00Z; until then it can be brought back',
      ],
    ],
    [
      Host,
      { storages: ['local'] },
      [
        'Host host-a is forgotten: nothing is placed on it any more, and nobody looks at it',
        '1 DataStorage on it can no longer be reached: local',
      ],
    ],
  ])('[REM-02] says what it does: %#', (kind, more, sentences) => {
    const said = reminder(rulesOf(kind), facts(kind, more))
    expect(said.filter((sentence) => !sentence.startsWith('kubectl '))).toEqual(sentences)
    for (const sentence of said) expect(sentence.length).toBeLessThanOrEqual(256)
  })

  test('has consequences without a time in them: the token follows from these', () => {
    for (const kind of [VirtualMachine, Disk, Image]) {
      const { consequences } = rulesOf(kind)
      const later = { ...delayed, purgeAt: new Date('2027-01-01T00:00:00Z') }
      expect(consequences(facts(kind, { decision: later }))).toEqual(consequences(facts(kind)))
    }
  })
})
