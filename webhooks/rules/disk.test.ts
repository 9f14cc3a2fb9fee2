import { expect, test } from 'vitest'
import { Disk } from '../../crds/disk.ts'
import type { Resource } from '../../crds/kind.ts'
import { meta } from '../../crds/testing/objects.ts'
import { MACHINE_ID_LABEL } from '../../crds/virtual-machine.ts'
import { defaultDeletion } from '../../policy/deletion.ts'
import { goesAlongWarnings, machineChange } from './disk.ts'

const labels = { [MACHINE_ID_LABEL]: '11111111-1111-4111-8111-111111111111' }
const disk = (spec: object, metadata = {}): Resource => ({
  apiVersion: `${Disk.group}/${Disk.version}`,
  kind: Disk.kind,
  metadata: meta('web-root', metadata),
  spec: { size: '1Gi', ...spec },
})
const never = { deletionPolicy: 'Never' }

test.each([
  ['says Never', disk(never, { labels }), disk({}, { labels }), 1],
  ['said so before', disk(never, { labels }), disk(never, { labels }), 0],
  ['says nothing', disk({}, { labels }), disk({}, { labels }), 0],
  ['says Never and has no machine', disk(never), disk({}), 0],
])('[DEL-13] Who changes a disk that %s hears that it goes as its machine does', (_, object, before, warnings) => {
  expect(goesAlongWarnings({ kind: Disk, object, before })).toHaveLength(warnings)
})

const caller = { kind: Disk, person: 'ann', owner: 'ann', settings: defaultDeletion, recovery: undefined }
const others = { [MACHINE_ID_LABEL]: '22222222-2222-4222-8222-222222222222' }
test.each<[string, Resource | undefined, Resource, boolean]>([
  ['taken off', disk({}, { labels }), disk({}), true],
  ['put on', disk({}), disk({}, { labels }), true],
  ['changed', disk({}, { labels }), disk({}, { labels: others }), true],
  ['there from the start', undefined, disk({}, { labels }), true],
  ['left as it was', disk({}, { labels }), disk({ size: '2Gi' }, { labels: { ...labels, tier: 'a' } }), false],
  ['never there', undefined, disk({}), false],
])(
  '[DEL-13] The machine that a disk was made for, %s, takes the permission setDeletionPolicy: %s',
  (_, before, object, isAsked) => {
    const asked = {
      verb: 'setDeletionPolicy',
      group: Disk.group,
      plural: Disk.plural,
      namespace: undefined,
      name: 'web-root',
    }
    expect(machineChange.needs({ ...caller, object, before })).toEqual(isAsked ? asked : undefined)
  },
)
