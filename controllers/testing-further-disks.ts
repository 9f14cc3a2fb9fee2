import type { DeletionPolicy } from '../crds/deletion.ts'
import { attachment, machine, newDisk } from '../crds/testing/objects.ts'
import { RecoveryWorld, rootDiskOfWeb } from './testing-recovery.ts'

/** Uid and file of the Disk that VirtualMachine shop/web is to take along. */
export const DATA = '66666666-6666-4666-8666-666666666666'
const disks = [attachment('data', true), attachment('scratch')]
const GI = 2 ** 30

/** VirtualMachine shop/web runs with a disk that it is to take along, and one that it is not. */
export async function running(): Promise<RecoveryWorld> {
  const world = new RecoveryWorld()
  world.entry.put(undefined)
  world.agent.disks.clear()
  world.make(newDisk({}, { name: 'data', uid: DATA }), newDisk({}, { name: 'scratch' }))
  world.claim({ disks }, { annotations: {} })
  await world.rounds(6)
  if (world.machines.get('web')?.condition('Ready')?.status !== 'True') throw new Error('it does not run')
  return world
}

export function remove(world: RecoveryWorld, policy?: DeletionPolicy): void {
  const vm = world.machines.get('web')
  if (!vm) return
  world.recycled.policy = policy
  world.delete(vm)
  world.recycled.policy = undefined
}

/** What a world is asked of the API server until all is done. */
export async function countPoints(make: () => Promise<RecoveryWorld>, begin: (world: RecoveryWorld) => void) {
  const world = await make()
  const points: string[] = []
  world.fault = (what) => void points.push(what)
  begin(world)
  await world.rounds(10)
  return points.map((what, at) => ({ what, at }))
}

/** Has the controllers end at a request. */
export function killAt(world: RecoveryWorld, at: number): () => number {
  let met = 0
  world.fault = () => {
    if (met++ === at) throw new Error('killed')
  }
  return () => met
}

/** The entry of shop/web with its root disk and Disk data. */
export async function binned(): Promise<RecoveryWorld> {
  const contents = rootDiskOfWeb()
  const manifest = { metadata: { name: 'data', labels: { app: 'shop' } }, spec: { size: '1Gi' } }
  const data = { name: 'data', uid: DATA, id: DATA, dataStorage: 'local', size: '1Gi', manifest }
  const spec = { ...machine({ disks: [attachment('data', true)] }).spec }
  const world = new RecoveryWorld({
    ...contents,
    manifest: { metadata: { name: 'web' }, spec },
    disks: [...(contents.disks ?? []), data],
  })
  world.agent.disks.set(DATA, GI)
  return world
}

/** Has it brought back. */
export const want = (world: RecoveryWorld) => world.entry.change(({ spec }) => void (spec.action = 'Recover'))

/** Manifests of the Disk and of the machine are applied, the Disk first. */
export function claimBoth(world: RecoveryWorld): void {
  claimDisk(world)
  world.claim({ disks: [attachment('data', true)] })
}

export function claimDisk(world: RecoveryWorld): void {
  const annotations = { 'holdfast.dev/recovered-from': world.entry.stored?.metadata.name ?? '' }
  world.make(newDisk({}, { name: 'data', annotations }))
}
