import { describe, expect, test } from 'vitest'
import { FILE, MAC, MACHINE_ID, RecoveryWorld } from './testing-recovery.ts'

/** What there is to see of VirtualMachine shop/web and its disk. */
function stateOf({ machines, disks, agent, freshDisks, entry }: RecoveryWorld) {
  const vm = machines.get('web')
  const { machineId, host, networks, decision = { epoch: 0 } } = vm?.stored?.status ?? {}
  const { id, attachedTo } = disks.get('web-root')?.stored?.status ?? {}
  return {
    ready: vm?.condition('Ready')?.status,
    machine: { machineId, host, networks },
    disk: { id, attachedTo },
    freshDisks,
    files: [...agent.disks.keys()],
    entry: entry.stored,
    // Under a decision that follows the last one, which was the seventh.
    follows: decision.epoch > 7,
  }
}

/** It is what it was before, once, and its entry is gone. */
const BACK = {
  ready: 'True',
  machine: { machineId: MACHINE_ID, host: 'host-a', networks: [{ mac: MAC }] },
  disk: { id: FILE, attachedTo: { virtualMachine: 'web', machineId: MACHINE_ID } },
  freshDisks: 0,
  files: [FILE],
  entry: undefined,
  follows: true,
}

const ways = {
  'the manifest asks for it': (world: RecoveryWorld) => void world.claim(),
  'its entry is to be recovered': (world: RecoveryWorld) =>
    world.entry.change(({ spec }) => void (spec.action = 'Recover')),
}
type Way = keyof typeof ways

/** How many times the API server is asked, before and after counted apart. */
async function countPoints(way: Way): Promise<string[]> {
  const world = new RecoveryWorld()
  const points: string[] = []
  world.fault = (what) => void points.push(what)
  ways[way](world)
  await world.rounds(8)
  return points
}

const points = (
  await Promise.all(
    Object.keys(ways).map(async (way) =>
      (await countPoints(way as Way)).map((what, at) => ({ way: way as Way, what, at })),
    ),
  )
).flat()

describe('VirtualMachine', () => {
  test.each(Object.keys(ways) as Way[])(
    '[DEL-16] comes back with its disk, identity and address when %s',
    async (way) => {
      const world = new RecoveryWorld()
      ways[way](world)
      await world.rounds(8)
      expect(stateOf(world)).toEqual(BACK)
    },
  )

  test.each(points)('[DEL-16] comes back once when $way and the controllers end $what ($at)', async ({ way, at }) => {
    const world = new RecoveryWorld()
    let met = 0
    world.fault = () => {
      if (met++ === at) throw new Error('killed')
    }
    ways[way](world)
    await world.rounds(12)
    expect(met).toBeGreaterThan(at)
    expect(stateOf(world)).toEqual(BACK)
  })

  test.each(points)(
    '[DEL-16] that is deleted while it comes back, as $way, is in the bin once ($what, $at)',
    async ({ way, at }) => {
      const world = new RecoveryWorld()
      let met = 0
      world.fault = () => {
        const vm = world.machines.get('web')
        if (met++ >= at && vm) world.delete(vm)
      }
      ways[way](world)
      await world.rounds(16)
      expect([world.machines.size, world.disks.size, world.freshDisks]).toEqual([0, 0, 0])
      expect([...world.agent.disks.keys()]).toEqual([FILE])
      const holding = [...world.recycled.entries.values()].filter(({ spec }) => spec.contents?.disks?.length)
      expect(holding).toMatchObject([
        { spec: { contents: { machineId: MACHINE_ID, disks: [{ id: FILE }] } }, status: { phase: 'Binned' } },
      ])
      expect(world.recycled.entries.size).toBe(1)
    },
  )

  test.each(points.filter(({ way }) => way === 'the manifest asks for it'))(
    '[DEL-16] that its namespace takes along while it comes back, is in the bin once ($what, $at)',
    async ({ at }) => {
      const world = new RecoveryWorld()
      world.claim()
      let met = 0
      world.fault = () => {
        if (met++ < at) return
        world.namespace = 'Terminating'
        for (const store of [...world.machines.values(), ...world.disks.values()]) world.delete(store)
      }
      await world.rounds(16)
      expect([world.machines.size, world.disks.size, world.freshDisks]).toEqual([0, 0, 0])
      const entries = [...world.recycled.entries.values()]
      expect(entries.map(({ spec }) => spec.contents?.disks?.map(({ id }) => id))).toEqual([[FILE]])
    },
  )

  test('[DEL-16] has no identity and makes no disk before its entry is brought back as this very one', async () => {
    const world = new RecoveryWorld()
    const vm = world.claim()
    world.entry.change(({ status }) => {
      if (status)
        status.conditions = [
          {
            type: 'ActionPossible',
            status: 'False',
            reason: 'NameTaken',
            message: 'There is another Disk shop/web-root',
            lastTransitionTime: '2026-01-01T00:00:00Z',
          },
        ]
    })
    world.fault = (what) => {
      if (what.endsWith('entry')) throw new Error('the entry is not looked at')
    }
    await world.settle()
    expect(vm.condition('Placed')).toMatchObject({
      reason: 'Recovering',
      message: 'There is another Disk shop/web-root',
    })
    expect([vm.stored?.status?.machineId, world.disks.size, world.agent.orders]).toEqual([undefined, 0, []])
  })

  test('[DEL-16] of two that ask for one entry the older has it, and the other is told what to do', async () => {
    const world = new RecoveryWorld()
    world.claim()
    const other = world.claim({}, { name: 'web-2', uid: '44444444-4444-4444-8444-444444444445' })
    await world.settle()
    expect(stateOf(world)).toEqual(BACK)
    expect(other.condition('Ready')).toMatchObject({ reason: 'NotRecoverable' })
    expect(other.condition('Ready')?.message).toContain('to have a new one, delete this one, and create it without')
    expect(other.stored?.status?.machineId).toBeUndefined()
  })

  test('[DEL-16] does not start with an empty disk when its entry is purged meanwhile', async () => {
    const world = new RecoveryWorld()
    const vm = world.claim()
    world.entry.put(undefined)
    await world.settle()
    expect(vm.condition('Ready')).toMatchObject({ reason: 'NotRecoverable' })
    expect(vm.events).toContain('Warning NotRecoverable')
    expect([vm.stored?.status?.machineId, world.freshDisks, world.agent.orders]).toEqual([undefined, 0, []])
    const { writes } = vm
    await world.rounds(3)
    expect(vm.writes).toBe(writes)
  })

  test('[DEL-16] that is wanted back is not destroyed by time', async () => {
    const world = new RecoveryWorld()
    world.entry.nowMs = 30 * 86_400_000
    world.claim()
    await world.rounds(8)
    expect(stateOf(world)).toEqual(BACK)
  })

  test('[DEL-16] comes back as its manifest says, with the disk that it had, whatever that says of one', async () => {
    const world = new RecoveryWorld()
    const vm = world.claim({ cpus: 4, rootDisk: { imageRef: { name: 'another' }, size: '1Gi' } })
    await world.rounds(8)
    expect(stateOf(world)).toEqual(BACK)
    expect(world.agent.orders.at(-1)).toMatchObject({ cpus: 4, disks: [{ id: FILE }] })
    expect(vm.stored?.spec.rootDisk.size).toBe('1Gi')
    expect(world.agent.disks.get(FILE)).toBe(2 * 2 ** 30)
  })

  test('[DEL-16] that was never placed comes back as a new one, once', async () => {
    const world = new RecoveryWorld({})
    world.agent.disks.clear()
    const vm = world.claim()
    await world.rounds(8)
    expect(vm.condition('Ready')).toMatchObject({ status: 'True' })
    expect([world.freshDisks, world.entry.stored]).toEqual([1, undefined])
  })

  test.each(Object.keys(ways) as Way[])(
    '[DEL-05] waits for room on the host that has its disk, when %s',
    async (way) => {
      const world = new RecoveryWorld()
      const big = world.claim(
        { memory: '30Gi' },
        { name: 'big', uid: '44444444-4444-4444-8444-444444444446', annotations: {} },
      )
      await world.rounds(4)
      ways[way](world)
      await world.settle()
      const message = 'Host host-a, which has its disks, has 1Gi of memory left, 4Gi are asked'
      expect(world.machines.get('web')?.condition('Placed')).toMatchObject({ reason: 'NoHostFits', message })
      expect(world.machines.get('web')?.stored?.status?.printableStatus).toBe('ErrorUnschedulable')
      expect(world.agent.orders.map(({ name }) => name)).not.toContain('shop/web')

      world.delete(big)
      await world.rounds(8)
      expect(world.machines.get('web')?.condition('Ready')).toMatchObject({ status: 'True' })
    },
  )
})
