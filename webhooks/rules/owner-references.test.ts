import { describe, expect, test } from 'vitest'
import { DataStorage } from '../../crds/data-storage.ts'
import { Disk } from '../../crds/disk.ts'
import { Host } from '../../crds/host.ts'
import { Image } from '../../crds/image.ts'
import { kinds } from '../../crds/index.ts'
import type { Resource } from '../../crds/kind.ts'
import { PlatformSettings } from '../../crds/platform-settings.ts'
import { RecycledResource } from '../../crds/recycled-resource.ts'
import { newDisk, uidOf } from '../../crds/testing/objects.ts'
import { VirtualMachine } from '../../crds/virtual-machine.ts'
import { defaultDeletion } from '../../policy/deletion.ts'
import { rulesFor } from './index.ts'
import { newOwners } from './owner-references.ts'
import type { Change } from './write.ts'

const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'gone', uid: uidOf('gone') }
const bare: Resource = newDisk()
const owned = (...ownerReferences: object[]) => ({ ...bare, metadata: { ...bare.metadata, ownerReferences } })

function permission(before: Change['before'], object: Change['object']) {
  const caller = { person: 'ann', owner: 'ann', settings: defaultDeletion, recovery: undefined }
  return newOwners.needs({ kind: Disk, object, before, ...caller })
}

describe('An object of ours', () => {
  test.each<[string, Change['before'], Change['object'], boolean]>([
    ['gets an owner', owned(), owned(owner), true],
    ['gets a second owner', owned(owner), owned(owner, { ...owner, uid: uidOf('other') }), true],
    ['has its owner in another group', owned(owner), owned({ ...owner, apiVersion: 'shop/v1' }), true],
    ['keeps its owner', owned(owner), owned({ ...owner, blockOwnerDeletion: true }), false],
    ['loses its owner', owned(owner), owned(), false],
    ['is made with an owner', undefined, owned(owner), false],
  ])('[DEL-04] that %s takes the permission delete: %s', (_name, before, object, isAsked) => {
    const asked = { verb: 'delete', group: Disk.group, plural: Disk.plural, namespace: 'shop', name: 'data' }
    expect(permission(before, object)).toEqual(isAsked ? asked : undefined)
  })

  test('is asked about whatever its kind, but for entries of the recycle bin, which never have one', () => {
    const asked = kinds.filter(({ group, plural }) =>
      rulesFor({ group, resource: plural })?.guarded.includes(newOwners),
    )
    expect(new Set(asked)).toEqual(new Set([VirtualMachine, Disk, Image, Host, DataStorage, PlatformSettings]))
    expect(asked).not.toContain(RecycledResource)
  })
})
