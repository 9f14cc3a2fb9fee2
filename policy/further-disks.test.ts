import { describe, expect, test } from 'vitest'
import { OWNER_LABEL, type DeletionPolicy } from '../crds/deletion.ts'
import { RECOVERED_FROM_ANNOTATION } from '../crds/recycled-resource.ts'
import { attachment, disk, machine } from '../crds/testing/objects.ts'
import { MACHINE_ID_LABEL } from '../crds/virtual-machine.ts'
import { decideDeletion, defaultDeletion } from './deletion.ts'
import { markedDisks, whyItStays, type MarkedDisk } from './further-disks.ts'

const MACHINE_ID = '11111111-1111-4111-8111-111111111111'
const OTHER_ID = '99999999-9999-4999-8999-999999999999'
const here = { virtualMachine: 'web', machineId: MACHINE_ID }
const ofAnn = { labels: { [OWNER_LABEL]: 'ann' } }
const vm = {
  ...machine({ disks: [attachment('data', true), attachment('scratch')] }, ofAnn),
  status: { machineId: MACHINE_ID, host: 'host-a' },
}
const data = (status: object = {}, metadata: object = {}) =>
  disk('data', { attachedTo: here, ...status }, { ...ofAnn, ...metadata })
const under = (own: DeletionPolicy) => ({ ...data(), spec: { size: '1Gi', deletionPolicy: own } })
const settings = { ...defaultDeletion, disk: { ...defaultDeletion.disk, policy: 'Never' as const } }
const another = machine({ disks: [attachment('data')] }, { name: 'db', uid: OTHER_ID })
const leaving = { ...another, metadata: { ...another.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } }
const unattached = (origin?: string) => {
  const { attachedTo: _, ...status } = data().status ?? {}
  const annotations = origin === undefined ? {} : { [RECOVERED_FROM_ANNOTATION]: origin }
  return { ...data({}, { annotations }), status }
}
const comingBack = { ...vm, metadata: { ...vm.metadata, annotations: { [RECOVERED_FROM_ANNOTATION]: OTHER_ID } } }

const now = new Date('2026-01-01T00:00:00Z')
const lasting = (retention: string) => ({ ...defaultDeletion, disk: { ...defaultDeletion.disk, retention } })
const decision = (override: DeletionPolicy) =>
  decideDeletion({ kind: 'VirtualMachine', override, settings: defaultDeletion, now })
const ofDisk = (override: DeletionPolicy, retention = '3d', at = now) =>
  decideDeletion({ kind: 'Disk', override, settings: lasting(retention), now: at })
const moment = new Date(now.getTime() + 60_000)
const deleted = data({}, { deletionTimestamp: now.toISOString() })

const goes: [string, Partial<MarkedDisk>][] = [
  ['is attached to it', {}],
  ['is to go sooner than it', { disk: under('Immediate') }],
  ['is to be kept as it is', { disk: under('Delayed') }],
  ['is to be kept for good, as it is', { disk: under('Never'), decision: decision('Never') }],
  ['says nothing of its end, when it is destroyed at once', { decision: decision('Immediate') }],
  ['is named by a machine that goes as well', { users: [vm, leaving] }],
  ['was deleted to go sooner', { stamped: ofDisk('Delayed') }],
  ['was deleted a moment later, for as long', { stamped: ofDisk('Delayed', '7d', moment) }],
  ['is kept for longer by the settings alone', { settings: lasting('30d') }],
  ['came back with it, and is not attached yet', { vm: comingBack, disk: unattached(OTHER_ID) }],
]

const stays: [string, Partial<MarkedDisk>, string][] = [
  ['nobody has', { disk: unattached() }, 'is not attached to it'],
  ['came back alone', { disk: unattached(OTHER_ID) }, 'is not attached to it'],
  ['another machine has', { disk: data({ attachedTo: { ...here, machineId: OTHER_ID } }) }, 'is not attached to it'],
  [
    'a namesake of that identity has',
    { disk: data({ attachedTo: { ...here, virtualMachine: 'db' } }) },
    'is not attached to it',
  ],
  ['is on another host', { disk: data({ host: 'host-b' }) }, 'is not attached to it'],
  ['was never made', { disk: data({ size: undefined }) }, 'is not attached to it'],
  [
    'is labelled as made for it',
    { disk: data({}, { labels: { ...ofAnn.labels, [MACHINE_ID_LABEL]: MACHINE_ID } }) },
    'is not attached to it',
  ],
  ['another machine names', { users: [vm, another] }, 'is named by VirtualMachine db too'],
  ['somebody else owns', { disk: data({}, { labels: { [OWNER_LABEL]: 'bob' } }) }, 'belongs to another owner'],
  ['nobody owns', { disk: data({}, { labels: {} }) }, 'belongs to another owner'],
  ['says Never', { disk: under('Never') }, 'has the deletion policy Never'],
  ['is kept for good by the settings', { settings }, 'has the deletion policy Never'],
  [
    'says Delayed, when it is destroyed at once',
    { disk: under('Delayed'), decision: decision('Immediate') },
    'has the deletion policy Delayed',
  ],
  [
    'was deleted under Delayed, when it is destroyed at once',
    { stamped: ofDisk('Delayed'), decision: decision('Immediate') },
    'has the deletion policy Delayed',
  ],
  [
    'is being deleted itself, and nobody wrote down how, when it is destroyed at once',
    { disk: deleted, decision: decision('Immediate') },
    'has the deletion policy Delayed',
  ],
  ['was deleted to be kept for longer', { stamped: ofDisk('Delayed', '30d') }, 'is kept for longer'],
  ['says Delayed, which is longer here', { disk: under('Delayed'), settings: lasting('30d') }, 'is kept for longer'],
]

const ask = (more: Partial<MarkedDisk>) =>
  whyItStays({
    vm,
    disk: data(),
    decision: decision('Delayed'),
    stamped: undefined,
    settings: defaultDeletion,
    users: [vm],
    ...more,
  })

describe('[DEL-20] A Disk that its machine is to take along', () => {
  test('is one that spec.disks says so of', () => {
    expect(markedDisks(vm)).toEqual(['data'])
  })

  test.each(goes)('goes when it %s', (_, more) => {
    expect(ask(more)).toBeUndefined()
  })

  test.each(stays)('stays when it is one that %s', (_, more, why) => {
    expect(ask(more)).toBe(why)
  })
})
