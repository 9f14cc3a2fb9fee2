import { describe, expect, test } from 'vitest'
import type { Disk } from '../../crds/disk.ts'
import { attachment, disk, machine } from '../../crds/testing/objects.ts'
import { MACHINE_ID_LABEL } from '../../crds/virtual-machine.ts'
import { contentsOfDisk } from '../../policy/recycled-contents.ts'
import { World } from './testing.ts'

const ID = '11111111-1111-4111-8111-111111111111'
const ROOT = '22222222-2222-4222-8222-222222222222'
const DATA = '44444444-4444-4444-8444-444444444444'
const imageRef = { imageRef: { name: 'debian' }, size: '4Gi' }
/** As records have it that are older than the guest's present name. */
const attachedTo = { virtualMachine: 'older', machineId: ID }

/** A guest with a root disk and another one, to be adopted by this manifest beside these Disks. */
function adopting(spec: object, ...disks: Disk[]): World {
  const world = new World(machine({ adopt: { machineId: ID }, ...spec }))
  for (const one of disks) world.disks.set(one.metadata.name, one)
  world.host.machines.note({
    id: ID,
    name: 'shop/web',
    decision: { id: '33333333-3333-4333-8333-333333333333', epoch: 7 },
    power: 'Running',
    state: 'Running',
    pendingRestart: [],
    restarts: 0,
    revision: 0,
    macs: ['02:aa:bb:cc:dd:ee'],
    disks: [ROOT, DATA].map((id) => ({ id, storage: 'local' })),
  })
  return world
}

const data = disk('data', { id: DATA, attachedTo })
const own = (machineId: string) => disk('web-root', { id: ROOT }, { labels: { [MACHINE_ID_LABEL]: machineId } })
const named = { disks: [attachment('data')] }

describe('A guest is not adopted, and keeps what it has, with a manifest', () => {
  test.each<[string, object, Disk[], string]>([
    [
      'that leaves out a disk which is its own by the records',
      { rootDisk: imageRef },
      [data],
      'name Disk data in spec.disks',
    ],
    [
      'that leaves out a disk of which there is no Disk',
      { rootDisk: imageRef },
      [],
      `make a Disk of ${DATA} with spec.source.existing, and name it in spec.disks`,
    ],
    [
      'of an image, when its root disk has a Disk of another name',
      { rootDisk: imageRef, ...named },
      [data, disk('older-root', { id: ROOT, attachedTo })],
      'boot from Disk older-root with rootDisk.diskRef in place of rootDisk.imageRef',
    ],
    [
      'of an image, when the Disk of that name was made for another machine',
      { rootDisk: imageRef, ...named },
      [data, own(DATA)],
      'boot from Disk web-root with rootDisk.diskRef in place of rootDisk.imageRef',
    ],
    [
      'of an image, when its root disk is named as a further one',
      { rootDisk: imageRef, disks: [attachment('data'), attachment('older-root')] },
      [data, disk('older-root', { id: ROOT, attachedTo })],
      'boot from Disk older-root with rootDisk.diskRef in place of rootDisk.imageRef',
    ],
    [
      'of an image, when the Disk of that name is another file',
      { rootDisk: imageRef, ...named },
      [data, disk('web-root')],
      'Disk web-root is another one: use another name for that',
    ],
    [
      'whose root disk is not there',
      { rootDisk: { diskRef: { name: 'boot' } }, ...named },
      [data],
      `make a Disk of ${ROOT} with spec.source.existing, and name it in rootDisk.diskRef`,
    ],
    [
      'of a disk whose Disk is in another namespace',
      { rootDisk: imageRef },
      [disk('data', { id: DATA }, { namespace: 'lab' })],
      `the Disk of ${DATA} is in another namespace: delete it into the recycle bin, recover its entry with spec.recoverAs.namespace shop, and name it`,
    ],
  ])('%s', async (_, spec, disks, next) => {
    const world = adopting(spec, ...disks)
    await world.settle()
    expect(world.stored?.status?.machineId).toBeUndefined()
    expect(world.host.orders).toEqual([])
    expect(world.condition('Placed')).toMatchObject({
      reason: 'AdoptionRefused',
      message: `Machine ${ID} has disks that this manifest does not name, and would lose them: ${next}`,
    })
  })

  test('of a disk that is in the recycle bin', async () => {
    const world = adopting({ rootDisk: imageRef })
    const { metadata, spec } = world.recycled.stamp(data)
    spec.contents = contentsOfDisk(data)
    await world.settle()
    expect(world.condition('Placed')?.message).toMatch(
      new RegExp(`: recover entry ${metadata.name} of the recycle bin, and`),
    )
  })

  test('of a Disk that only asks for the file', async () => {
    const asks = disk('data')
    asks.spec = { ...asks.spec, dataStorage: 'local', source: { existing: { id: DATA } } }
    const world = adopting({ rootDisk: imageRef, ...named }, asks)
    await world.settle()
    expect(world.condition('Placed')?.message).toContain(`Disk data has yet to be made of ${DATA}: see its message`)
  })
})

test.each([
  ['of an image, of whose file there is no Disk', imageRef, undefined],
  ['of an image, whose Disk is its own', imageRef, own(ID)],
  ['that boots from it', { diskRef: { name: 'older-root' } }, disk('older-root', { id: ROOT, attachedTo })],
])('A guest is adopted with a manifest %s', async (_, rootDisk, root) => {
  const world = adopting({ rootDisk, ...named }, ...(root ? [data, root] : [data]))
  await world.settle()
  expect(world.stored?.status?.machineId).toBe(ID)
})

test("A disk that was attached under an older name is the adopted one's under its own", async () => {
  const root = disk('older-root', { id: ROOT, attachedTo })
  const world = adopting({ rootDisk: { diskRef: { name: 'older-root' } }, ...named }, data, root)
  await world.settle()
  expect(world.condition('Ready')).toMatchObject({ status: 'True' })
  const holders = ['data', 'older-root'].map((name) => world.disks.get(name)?.status?.attachedTo)
  expect(holders).toEqual([1, 2].map(() => ({ virtualMachine: 'web', machineId: ID })))
})
