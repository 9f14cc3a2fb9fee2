import { expect, test } from 'vitest'
import { lacksPort, nextPlugStep, toPlugged, type PlugSituation, type PlugStep } from './plugged.ts'

const root = '00000000-0000-4000-8000-000000000000'
const a = '00000000-0000-4000-8000-00000000000a'
const b = '00000000-0000-4000-8000-00000000000b'

/** What QEMU tells of a machine with three ports for disks. */
function qemu(devices: readonly number[], files: Readonly<Record<number, string>>) {
  const names = ['type', 'disk-port-0', 'disk-port-1', 'disk-port-2', 'nic-0', 'nic-port-0']
  const nodes = Object.entries(files).flatMap(([slot, id]) => [
    { 'node-name': `disk-${slot}-file`, file: `/d/disks/${id}.qcow2` },
    { 'node-name': `disk-${slot}`, file: `/d/disks/${id}.qcow2` },
  ])
  return toPlugged([...names, ...devices.map((slot) => `disk-${slot}`)], nodes)
}

test('Disks of a process are read from what QEMU tells, each node before those that it uses', () => {
  const base = [
    { 'node-name': 'disk-0-base-1-file', file: '/d/images/x' },
    { 'node-name': 'disk-0-base-1', file: '/d/images/x' },
    { 'node-name': '#block123', file: '/d/other' },
  ]
  const top = [
    { 'node-name': 'disk-0', file: `/d/disks/${root}.qcow2` },
    { 'node-name': 'disk-0-file', file: `/d/disks/${root}.qcow2` },
  ]
  const plugged = toPlugged(['disk-0', 'disk-7', 'disk-port-0', 'disk-port-12'], [...base, ...top])
  expect([...plugged.ports]).toEqual([0, 12])
  expect([...plugged.devices]).toEqual([
    [0, root],
    [7, undefined],
  ])
  expect([...plugged.nodes]).toEqual([[0, ['disk-0', 'disk-0-base-1', 'disk-0-base-1-file', 'disk-0-file']]])
})

const both = qemu([0, 1], { 0: root, 1: a })
const one = qemu([0], { 0: root })
const asked = (lastMs: number) => ({ askedMs: new Map([[a, lastMs]]) })

test.each<[string, Partial<PlugSituation>, PlugStep]>([
  ['was not looked at', { plugged: undefined }, { do: 'Look' }],
  ['has what it should', { plugged: both, wanted: [root, a] }, { do: 'Wait' }],
  ['has what it should, in another order', { plugged: both, wanted: [a, root] }, { do: 'Wait' }],
  ['lacks a disk', { plugged: one, wanted: [root, a] }, { do: 'Attach', id: a, slot: 1 }],
  [
    'lacks one that had a place',
    { plugged: one, wanted: [root, a], slots: { [a]: 2 } },
    { do: 'Attach', id: a, slot: 2 },
  ],
  [
    'lacks one whose place is taken',
    { plugged: both, wanted: [root, a, b], slots: { [b]: 1 } },
    { do: 'Attach', id: b, slot: 2 },
  ],
  ['lacks two', { plugged: one, wanted: [root, a, b], slots: { [b]: 1 } }, { do: 'Attach', id: a, slot: 2 }],
  ['has one too many', { plugged: both, wanted: [root] }, { do: 'Detach', id: a, slot: 1 }],
  ['was just asked for it', { plugged: both, wanted: [root], ...asked(95_000) }, { do: 'Wait', forMs: 5000 }],
  ['was asked for it long ago', { plugged: both, wanted: [root], ...asked(90_000) }, { do: 'Detach', id: a, slot: 1 }],
  [
    'keeps one and lacks another',
    { plugged: both, wanted: [root, b], ...asked(95_000) },
    { do: 'Attach', id: b, slot: 2 },
  ],
  ['gave one back', { plugged: qemu([0], { 0: root, 1: a }), wanted: [root] }, { do: 'Clean', slot: 1 }],
  ['got half of one', { plugged: qemu([0], { 0: root, 1: a }), wanted: [root, a] }, { do: 'Clean', slot: 1 }],
  ['has a device of somebody else', { plugged: qemu([0, 1], { 0: root }), wanted: [root] }, { do: 'Wait' }],
  ['has no port left', { plugged: qemu([0, 1, 2], { 0: root, 1: a, 2: 'x' }), wanted: [root, a, b] }, { do: 'Wait' }],
])('Process that %s: %#', (_name, change, step) => {
  const situation = { wanted: [root], plugged: one, slots: {}, askedMs: new Map<string, number>(), nowMs: 100_000 }
  expect(nextPlugStep({ ...situation, ...change })).toEqual(step)
})

test('Process says when a disk has to wait for a port', () => {
  const full = qemu([0, 1, 2], { 0: root, 1: a, 2: 'x' })
  expect(lacksPort({ wanted: [root, a, b], slots: {} }, full)).toBe(true)
  expect(lacksPort({ wanted: [root, a, b], slots: {} }, both)).toBe(false)
  expect(lacksPort({ wanted: [root, a], slots: {} }, full)).toBe(false)
})
