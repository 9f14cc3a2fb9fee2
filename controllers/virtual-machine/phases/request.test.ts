import { describe, expect, test } from 'vitest'
import type { VirtualMachine } from '../../../crds/virtual-machine.ts'
import { running, type World } from '../testing.ts'

type Spec = VirtualMachine['spec']
type Request = NonNullable<Spec['power']>['request']

/** Half a minute after the machine was created, which is the present. */
const AT = '2026-01-01T00:00:30Z'
const LATER = '2026-01-01T00:00:40Z'

describe('VirtualMachine', () => {
  test.each<[Request, object]>([
    ['Start', { power: 'Running' }],
    ['Stop', { power: 'Stopped', gracePeriodSeconds: 60 }],
    ['ForceStop', { power: 'Stopped', gracePeriodSeconds: 0 }],
    ['Restart', { power: 'Running', once: 'Restart', gracePeriodSeconds: 60 }],
    ['Reset', { power: 'Running', once: 'Reset' }],
    ['Pause', { power: 'Running', paused: true }],
    ['Resume', { power: 'Running' }],
  ])('that is asked to %s orders that once, under a new decision that is stored first', async (request, order) => {
    const world = await running()
    const before = world.stored?.status?.decision
    ask(world, request)
    world.store.crash = new Error('the API server went away')
    await expect(world.reconcile()).rejects.toThrow('went away')
    expect(world.host.orders).toHaveLength(1)
    world.store.crash = undefined

    await world.reconcile(3)
    const { decision, power } = world.stored?.status ?? {}
    expect(world.host.orders.slice(1)).toMatchObject([{ ...order, decision: { epoch: (before?.epoch ?? 0) + 1 } }])
    expect(decision).toMatchObject({ request, follows: expect.arrayContaining([before?.id]) })
    expect(power).toEqual({ request, at: AT })
    expect(world.condition('RequestAccepted')).toMatchObject({ status: 'True' })

    world.restart()
    world.host.session++
    await world.reconcile()
    expect(world.stored?.status?.decision).toEqual(decision)
    expect(world.host.orders.at(-1)).toEqual(world.host.orders.at(-2))
  })

  test.each<[string, [Request, at?: string], Partial<Spec>, string]>([
    ['is older than the machine', ['Stop', '2025-12-31T23:59:59Z'], {}, 'RequestOutdated'],
    ['lies more than a minute ahead', ['Stop', '2026-01-01T00:01:31Z'], {}, 'RequestOutdated'],
    ['resets a machine that is off', ['Reset'], { runStrategy: 'Manual' }, 'RequestRefused'],
    ['pauses a machine that is off', ['Pause'], { runStrategy: 'Manual' }, 'RequestRefused'],
    ['starts a machine that is Halted', ['Start'], { runStrategy: 'Halted' }, 'RequestRefused'],
    ['restarts a machine that is Halted', ['Restart'], { runStrategy: 'Halted' }, 'RequestRefused'],
  ])('ignores a request that %s, says so once, and is Ready', async (_name, [request, at = AT], spec, reason) => {
    const world = await running(spec)
    const orders = world.host.orders.length
    ask(world, request, at)
    await world.reconcile()
    expect(world.condition('RequestAccepted')).toMatchObject({ status: 'False', reason })
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.stored?.status?.power).toMatchObject({ request, at, reason })
    expect(world.events).toEqual(['Normal Ready', `Warning ${reason}`])
    const { writes } = world
    await world.reconcile(3)
    expect([world.writes, world.host.orders.length]).toEqual([writes, orders])
  })

  test('ignores a request that is older than ten minutes', async () => {
    const world = await running()
    world.store.nowMs += 11 * 60_000
    ask(world, 'Stop')
    await world.reconcile()
    expect(world.condition('RequestAccepted')).toMatchObject({ reason: 'RequestOutdated' })
    expect(world.stored?.status?.printableStatus).toBe('Running')
  })

  test('takes a request after a clock was a day ahead, and says both times of one that it does not take', async () => {
    const world = await running()
    const day = 24 * 3_600_000
    world.store.nowMs += day
    ask(world, 'Stop', '2026-01-02T00:00:30Z')
    await world.reconcile()
    expect(world.stored?.status?.printableStatus).toBe('Stopped')
    world.store.nowMs -= day
    ask(world, 'Start', LATER)
    await world.reconcile()
    expect(world.stored?.status?.printableStatus).toBe('Running')
    ask(world, 'Stop', '2026-01-02T00:00:40Z')
    await world.reconcile()
    expect(world.condition('RequestAccepted')?.message).toMatch(/it says 2026-01-02T00:00:40Z, and .* 2026-01-01T00:/)
    expect(world.stored?.status?.printableStatus).toBe('Running')
  })

  test('does not repeat a request that is applied again after one that was refused for its time', async () => {
    const world = await running()
    ask(world, 'Stop')
    await world.reconcile()
    ask(world, 'Start', LATER)
    await world.reconcile()
    ask(world, 'Restart', '2020-01-01T00:00:00Z')
    await world.reconcile()
    for (const [request, at] of [
      ['Stop', AT],
      ['Start', LATER],
    ] as const) {
      ask(world, request, at)
      await world.reconcile()
      expect(world.stored?.status?.power).toMatchObject({ request, reason: 'RequestOutdated', latest: LATER })
    }
    expect(world.stored?.status?.printableStatus).toBe('Running')
    expect(world.host.orders).toHaveLength(3)
  })

  test('does not repeat a request that is applied again after a later one', async () => {
    const world = await running()
    ask(world, 'Stop')
    await world.reconcile()
    ask(world, 'Start', LATER)
    await world.reconcile()
    ask(world, 'Stop')
    await world.reconcile()
    expect(world.stored?.status).toMatchObject({ printableStatus: 'Running', power: { reason: 'RequestOutdated' } })
    expect(world.host.orders).toHaveLength(3)
  })

  test('that a user stopped stays off under Always, until it is started or its strategy changes', async () => {
    const world = await running()
    ask(world, 'Stop')
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True', reason: 'SuspendedByUser' })
    expect(world.stored?.status?.printableStatus).toBe('Stopped')
    expect(world.events).toEqual(['Normal Ready', 'Normal SuspendedByUser'])
    world.restart()
    await world.reconcile(3)
    expect(world.stored?.status?.printableStatus).toBe('Stopped')

    change(world, { runStrategy: 'RerunOnFailure' })
    await world.reconcile()
    expect(world.stored?.status).toMatchObject({ printableStatus: 'Running', runStrategy: 'RerunOnFailure' })
    ask(world, 'Stop', LATER)
    await world.reconcile()
    expect(world.stored?.status?.printableStatus).toBe('Stopped')
    ask(world, 'Start', '2026-01-01T00:00:50Z')
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True', reason: 'Ready' })
    expect(world.stored?.status?.printableStatus).toBe('Running')
  })

  test('of Manual is started and stopped by requests alone, and left as it is when it becomes so', async () => {
    const world = await running({ runStrategy: 'Manual' })
    expect(world.stored?.status?.printableStatus).toBe('Stopped')
    expect(world.condition('Ready')).toMatchObject({ status: 'True', reason: 'Ready' })
    ask(world, 'Start')
    await world.reconcile()
    expect(world.host.orders.at(-1)).toMatchObject({ power: 'Running', restart: 'Never' })
    change(world, { runStrategy: 'Always' })
    await world.reconcile()
    change(world, { runStrategy: 'Manual' })
    await world.reconcile()
    expect(world.stored?.status).toMatchObject({ printableStatus: 'Running', decision: { request: 'Start' } })
    change(world, { runStrategy: 'Halted' })
    await world.reconcile()
    change(world, { runStrategy: 'Manual' })
    await world.reconcile()
    expect(world.stored?.status?.printableStatus).toBe('Stopped')
  })

  test('that is paused by a user is Ready, and shows a disk that is full all the same', async () => {
    const world = await running()
    ask(world, 'Pause')
    await world.reconcile()
    look(world, { state: 'Paused' })
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True', reason: 'PausedByUser' })
    expect(world.stored?.status?.printableStatus).toBe('Paused')
    look(world, { state: 'Paused', problem: { code: 'DiskFull', message: 'the data storage is full' } })
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'False', reason: 'Paused' })
  })

  test('whose process does not answer is not Ready, whatever it was told last', async () => {
    const world = await running()
    const problem = { code: 'MonitorSilent', message: 'it does not answer' }
    look(world, { state: 'Running', problem })
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'False', reason: 'MonitorSilent' })
    expect(world.stored?.status?.printableStatus).toBe('Unknown')
    look(world, { state: 'Running', problem: undefined })
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.stored?.status?.printableStatus).toBe('Running')
  })

  test('says when it is started again, and how often it was', async () => {
    const world = await running()
    const retryAt = '2026-01-01T00:05:00Z'
    look(world, { state: 'Stopped', retryAt, restarts: 3, problem: { code: 'Crashed', message: 'it ended' } })
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status: 'False', reason: 'CrashLoopBackOff' })
    expect(world.condition('Ready')?.message).not.toMatch(/\d/)
    expect(world.stored?.status).toMatchObject({ printableStatus: 'CrashLoopBackOff', restartAt: retryAt, restarts: 3 })
    look(world, { state: 'Running', restarts: 0 })
    await world.reconcile()
    expect(world.stored?.status).not.toHaveProperty('restartAt')
    expect(world.stored?.status).not.toHaveProperty('restarts')
  })

  test.each([
    ['shut itself down', 'RerunOnFailure', 'GuestShutdown', 'True'],
    ['shut itself down', 'Manual', 'GuestShutdown', 'True'],
    ['crashed', 'Manual', 'Crashed', 'False'],
  ] as const)('that %s is left off under %s (%s)', async (_name, runStrategy, code, status) => {
    const world = await running({ runStrategy })
    if (runStrategy === 'Manual') ask(world, 'Start')
    await world.reconcile()
    look(world, { state: 'Stopped', problem: { code, message: 'it ended' } })
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status, reason: code })
    expect(world.stored?.status?.printableStatus).toBe('Stopped')
    ask(world, 'Start', LATER)
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True', reason: 'Ready' })
  })

  test('does not repeat a restart when its host holds a newer decision', async () => {
    const world = await running()
    ask(world, 'Restart')
    await world.reconcile()
    const newer = { id: '22222222-2222-4222-8222-222222222222', epoch: 9 }
    look(world, { decision: newer, revision: 99 })
    world.restart()
    await world.reconcile()
    expect(world.host.orders.at(-1)).toMatchObject({ power: 'Running', decision: { epoch: 10 } })
    expect(world.host.orders.at(-1)).not.toHaveProperty('once')
  })
})

function ask(world: World, request: Request, at = AT): void {
  change(world, { power: { request, at } })
}

function change(world: World, spec: Partial<Spec>): void {
  world.store.change((vm) => void Object.assign(vm.spec, spec))
}

/** What the host tells of the machine from now on. */
function look(world: World, seen: object): void {
  const { machines } = world.host
  const held = machines.get(world.stored?.status?.machineId ?? '')
  if (!held) throw new Error('the host does not know the machine')
  const { problem: _problem, retryAt: _retryAt, ...rest } = held
  machines.note({ ...rest, revision: held.revision + 1, ...seen })
}
