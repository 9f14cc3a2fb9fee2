import { describe, expect, test } from 'vitest'
import { Disk } from '../../crds/disk.ts'
import type { Resource } from '../../crds/kind.ts'
import { PlatformSettings } from '../../crds/platform-settings.ts'
import { platformSettings } from '../../crds/testing/objects.ts'
import { defaultDeletion } from '../../policy/deletion.ts'
import { deletePlatformSettings, limitOfBrake, policyOfKind } from './platform-settings.ts'
import { firstObjection } from './rule.ts'

const settings = (deletion?: object): Resource => {
  const { apiVersion, kind, metadata, spec } = platformSettings()
  const { deletion: _, ...others } = spec
  return { apiVersion, kind, metadata, spec: { ...others, ...(deletion && { deletion }) } }
}
const caller = { kind: PlatformSettings, person: 'ann', owner: 'ann', settings: defaultDeletion, recovery: undefined }
/** The API server takes it. */
const unreadable = [{ person: 'x', kind: 'Image', until: '2026-12-02T00:00:00+24:00' }]
const onDisks = (verb: string) => ({ verb, group: Disk.group, plural: Disk.plural })

describe('PlatformSettings', () => {
  test.each<[string, Resource | undefined, Resource, boolean]>([
    ['the policy of disks is changed', settings(), settings({ disk: { policy: 'Immediate' } }), true],
    [
      'their retention is changed',
      settings({ disk: { retention: '9d' } }),
      settings({ disk: { retention: '1d' } }),
      true,
    ],
    ['their confirmation is changed', settings(), settings({ disk: { confirmation: 'None' } }), true],
    ['what was said of them is left out', settings({ disk: { policy: 'Never' } }), settings(), true],
    ['they are made with another policy', undefined, settings({ disk: { policy: 'Never' } }), true],
    ['they are made with the default policy', undefined, settings({ disk: {} }), false],
    ['the policy of images is changed', settings(), settings({ image: { policy: 'Never' } }), false],
    ['they cannot be read', settings(), settings({ brakeReleases: unreadable }), true],
    ['they could not be read', settings({ brakeReleases: unreadable }), settings(), true],
  ])('[DEL-13] where %s, the permission setDeletionPolicy on disks is asked for: %s', (_, before, object, isAsked) => {
    const asked = policyOfKind(Disk).needs({ ...caller, object, before })
    expect(asked).toEqual(isAsked ? onDisks('setDeletionPolicy') : undefined)
  })

  test.each<[string, Resource, Resource, boolean]>([
    ['more deletes', settings(), settings({ brake: { deletes: 1000, seconds: 60 } }), true],
    ['as many as before', settings({ brake: {} }), settings(), false],
    ['nobody knows how many', settings(), settings({ brake: { deletes: 1000 }, brakeReleases: unreadable }), true],
  ])('[DEL-18] whose brake lets %s through ask for bulkDelete: %s', (_, before, object, isAsked) => {
    const asked = limitOfBrake(Disk).needs({ ...caller, object, before })
    expect(asked).toEqual(isAsked ? onDisks('bulkDelete') : undefined)
  })

  test('[DEL-13] that say of deletes what is not the default are not deleted, others are', () => {
    const objection = (object: Resource) => firstObjection(deletePlatformSettings.inUse, facts(object))?.message
    expect(objection(settings())).toBeUndefined()
    expect(objection(settings({ disk: { policy: 'Never' } }))).toContain('take spec.deletion out of it first')
    expect(objection(settings({ brakeReleases: unreadable }))).toContain('take spec.deletion out of it first')
  })
})

function facts(object: Resource) {
  return {
    kind: PlatformSettings,
    object,
    person: 'ann',
    isConsequence: false,
    settings: defaultDeletion,
    decision: undefined,
    machines: [],
    disks: [],
    goAlong: [],
    heldBack: new Map(),
    storages: [],
    binned: [],
    brakeAllows: true,
    token: '',
  }
}
