import { describe, expect, test } from 'vitest'
import { disk, meta } from '../../../crds/testing/objects.ts'
import { MACHINE_ID_LABEL } from '../../../crds/virtual-machine.ts'
import { FakeBin } from '../../recycle-bin/fake-bin.ts'
import { anotherEntry, asking, FILE, newWorld } from '../testing.ts'

const MACHINE = '11111111-1111-4111-8111-111111111111'

describe('RecycledResource', () => {
  test.each([
    ['stays', 'asks for it in another namespace', asking('elsewhere')],
    ['stays', 'asks for it in its own', asking('shop')],
    ['stays', 'is the very one that is gone', disk('data', { id: FILE })],
    ['goes', 'has it, wherever that is', disk('other', { id: FILE }, { namespace: 'elsewhere' })],
  ])('[DEL-04] of a file whose Disk was not put away %s while another Disk %s', async (end, _name, other) => {
    const world = newWorld('Pending')
    world.api.disks = [other]
    const held = { name: 'data', uid: world.uid, id: FILE, dataStorage: 'local', size: '1Gi' }
    world.store.change(({ spec }) => Object.assign(spec, { lastSeen: { manifest: {}, disks: [held] } }))
    await world.settle()
    expect(world.store.stored?.status?.phase).toBe(end === 'stays' ? 'Binned' : undefined)
  })

  test('[DEL-04] [DEL-08] keeps what its delete saw of an object that went without being put away', async () => {
    const world = newWorld('Pending', 'Never')
    const held = { name: 'data', uid: world.uid, id: FILE, dataStorage: 'local', size: '1Gi' }
    const lastSeen = { manifest: { metadata: { name: 'data' }, spec: { size: '1Gi' } }, host: 'host-a', disks: [held] }
    world.store.change(({ spec }) => Object.assign(spec, { lastSeen }))
    await world.settle()
    expect(world.store.stored).toMatchObject({ spec: { contents: lastSeen }, status: { phase: 'Binned' } })
  })

  test.each(['VirtualMachine', 'Disk', 'Image'] as const)(
    '[DEL-08] of a %s of Never stays, also when nobody saw what that was, and comes back by a manifest alone',
    async (kind) => {
      const world = newWorld('Pending', 'Never')
      world.store.change(({ spec }) => void (spec.resource = { ...spec.resource, kind }))
      await world.settle()
      expect(world.store.stored).toMatchObject({ spec: { deletion: { policy: 'Never' } }, status: { phase: 'Binned' } })
      world.store.change(({ spec }) => void (spec.action = 'Recover'))
      await world.settle()
      const message = `${kind} shop/data went before anybody saw what it was: apply its manifest with the annotation holdfast.dev/recover: ${world.uid}`
      expect(world.store.condition('Ready')).toMatchObject({ reason: 'RecoveryRefused', message })
      expect(world.store.stored?.status?.phase).toBe('Binned')

      const annotations = { 'holdfast.dev/recovered-from': world.uid }
      const status = { id: FILE, machineId: MACHINE }
      world.there.set('shop/anew', { metadata: meta('anew', { annotations }), status })
      world.api.claimants = [{ kind, namespace: 'shop', name: 'anew' }]
      await world.settle()
      expect([[...world.there.keys()], world.store.stored]).toEqual([['shop/anew'], undefined])
    },
  )

  test('[DEL-08] of a VirtualMachine of Never keeps what was seen of that, without the disks, which stay', async () => {
    const world = newWorld('Pending', 'Never')
    const lastSeen = {
      manifest: { metadata: {}, spec: { cpus: 1 } },
      machineId: MACHINE,
      host: 'host-a',
      addresses: [],
    }
    world.store.change(({ spec }) => {
      Object.assign(spec, { lastSeen, resource: { ...spec.resource, kind: 'VirtualMachine' } })
    })
    await world.settle()
    expect(world.store.stored).toMatchObject({ spec: { contents: lastSeen }, status: { phase: 'Binned' } })
    world.store.change(({ spec }) => void (spec.action = 'Recover'))
    await world.settle()
    expect(world.there.get('shop/data')?.spec).toEqual({ cpus: 1, adopt: { machineId: MACHINE } })
  })

  test('of a VirtualMachine that is not of Never goes with that, whose guest is an orphan then', async () => {
    const world = newWorld('Pending')
    world.store.change(({ spec }) => {
      Object.assign(spec, { lastSeen: { manifest: {} }, resource: { ...spec.resource, kind: 'VirtualMachine' } })
    })
    await world.settle()
    expect(world.store.stored).toBeUndefined()
  })

  test.each([
    ['stays', 'has it', { disks: [disk('other', { id: FILE })] }],
    ['stays', 'had it, and is in the bin for less long', { others: [anotherEntry('other', 'Delayed')] }],
    ['goes', 'had it, and is in the bin for good', { others: [anotherEntry('other', 'Never')] }],
    ['goes', 'was the same one, which went along with its machine', { others: [anotherEntry('data', 'Delayed')] }],
    ['goes', 'had it, and is being brought back', { others: [anotherEntry('other', 'Delayed', 'Recovering')] }],
  ] as const)(
    '[DEL-08] of Never, of a file whose Disk was not put away, %s when another Disk %s',
    async (end, _, api) => {
      const world = newWorld('Pending', 'Never')
      Object.assign(world.api, api)
      const held = { name: 'data', uid: world.uid, id: FILE, dataStorage: 'local', size: '1Gi' }
      world.store.change(({ spec }) => Object.assign(spec, { lastSeen: { manifest: {}, disks: [held] } }))
      await world.settle()
      expect(world.store.stored?.status?.phase).toBe(end === 'stays' ? 'Binned' : undefined)
    },
  )

  test.each([
    ['destroys the file of a disk whose finalizer was taken off', {}, 0],
    ['leaves the file of one that was made for a machine', { [MACHINE_ID_LABEL]: MACHINE }, 1],
  ])('[DEL-03] under Immediate %s', async (_, labels, files) => {
    const world = newWorld('Pending', 'Immediate')
    const held = { name: 'data', uid: world.uid, id: FILE, dataStorage: 'local', size: '1Gi' }
    const manifest = { metadata: { name: 'data', labels }, spec: { size: '1Gi' } }
    world.store.change(({ spec }) => Object.assign(spec, { lastSeen: { manifest, host: 'host-a', disks: [held] } }))
    world.host.state = 'Unreachable'
    await world.settle()
    world.host.state = 'Connected'
    await world.look()
    expect([world.host.disks.size, world.store.stored]).toEqual([files, undefined])
  })

  test('is removed where its file went along with a machine, which has it in an entry of its own', async () => {
    const world = newWorld('Pending')
    world.api.others = [new FakeBin().stamp(disk('another'))]
    const held = { name: 'data', uid: world.uid, id: FILE, dataStorage: 'local', size: '1Gi' }
    world.store.change(({ spec }) => Object.assign(spec, { lastSeen: { manifest: {}, disks: [held] } }))
    await world.settle()
    expect([world.host.disks.size, world.store.stored]).toEqual([1, undefined])
  })

  test.each([
    ['lives on undeleted', 'Delayed', {}, 121_000, false],
    ['lives on undeleted', 'Delayed', {}, 100_000, true],
    ['is being deleted', 'Delayed', { deletionTimestamp: '2026-01-01T00:00:00Z' }, 900_000, true],
    ['is destroyed', 'Immediate', undefined, 1_000, false],
    ['went along with its machine', 'Delayed', undefined, 1_000, false],
  ] as const)(
    'that is pending while its object %s (%s, %o, after %d ms) is there: %o',
    async (...[, policy, found, ageMs, stays]) => {
      const world = newWorld('Pending', policy)
      if (found) world.there.set('shop/data', { metadata: meta('data', { ...found, uid: world.uid }) })
      world.store.nowMs = ageMs
      await world.look()
      expect(world.store.stored !== undefined).toBe(stays)
    },
  )
})
