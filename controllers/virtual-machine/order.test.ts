import { describe, expect, test } from 'vitest'
import { AgentError } from '../../agent/errors.ts'
import type { AgentErrorCode } from '../../agent/contract.ts'
import { machine } from '../../crds/testing/objects.ts'
import { guest } from '../fleet/testing.ts'
import { World } from './testing.ts'

const foreign = { machineId: '33333333-3333-4333-8333-333333333333', decision: { id: uuid(9), epoch: 3 } }

describe('VirtualMachine', () => {
  test.each<[AgentErrorCode, unknown, string, string]>([
    ['DISK_CLAIMED', foreign, 'False', 'DiskInUse'],
    ['DISK_CLAIMED', undefined, 'False', 'DiskInUse'],
    ['STALE_EPOCH', foreign, 'False', 'HostRefused'],
    ['DISK_NOT_FOUND', undefined, 'False', 'DiskNotFound'],
    ['BAD_REQUEST', undefined, 'False', 'HostRefused'],
    ['NO_SPACE', undefined, 'False', 'HostRefused'],
    ['STORAGE_UNAVAILABLE', undefined, 'False', 'HostRefused'],
    ['INTERNAL', undefined, 'False', 'HostRefused'],
    ['UNREACHABLE', undefined, 'Unknown', 'HostUnreachable'],
  ])('shows a host that answers %s (%j) as %s/%s, and keeps its decision', async (code, details, status, reason) => {
    const world = await placed()
    const { decision } = world.stored?.status ?? {}
    world.host.fault = new AgentError(code, 'what the host says', { details })
    const { retryAfterMs } = await world.settle()
    expect(world.condition('Ready')).toMatchObject({ status, reason })
    expect(world.stored?.status?.decision).toEqual(decision)
    const isFinal = ['DISK_CLAIMED', 'DISK_NOT_FOUND', 'BAD_REQUEST'].includes(code)
    expect(retryAfterMs).toBe(isFinal ? 30_000 : 5_000)
    expect(world.events).toEqual(isFinal ? [`Warning ${reason}`] : [])

    world.host.fault = undefined
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
  })

  test.each([
    ['shop/old', ' (that is an orphan on Host host-a: adopt it with spec.adopt.machineId'],
    ['elsewhere/old', undefined],
  ])('says of a disk that an orphan has, %s, that it is one, but not to other namespaces', async (name, told) => {
    const world = await placed()
    world.host.machines.note(guest(9, { id: foreign.machineId, name }))
    world.host.fault = new AgentError('DISK_CLAIMED', 'claimed', { details: foreign })
    await world.settle()
    const message = world.condition('Ready')?.message ?? ''
    expect(message.slice('claimed'.length).startsWith(told ?? ' (')).toBe(told !== undefined)
  })

  test('has those look who wait for its disks when its host answers something new, of which no event tells', async () => {
    const world = await placed()
    world.host.agent.putMachine = async ({ id, decision, power }) =>
      guest(9, { id, name: 'shop/web', decision: { id: decision.id, epoch: decision.epoch }, power, state: 'Stopped' })
    await world.reconcile(3)
    expect(world.told).toEqual(['Stopped'])
  })

  test('does not ask a host for ever that refuses, and tells of a change each time', async () => {
    const world = await placed()
    let asked = 0
    world.host.agent.putMachine = async () => {
      asked += 1
      throw new AgentError('NO_SPACE', 'full')
    }
    await world.reconcile(50)
    await world.settle()
    expect(asked).toBeLessThanOrEqual(5)
    expect(asked).toBeGreaterThan(1)
    expect(world.condition('Ready')).toMatchObject({ reason: 'HostRefused', message: 'full' })
  })

  test.each<[AgentErrorCode, unknown]>([
    ['BAD_REQUEST', undefined],
    ['INTERNAL', new Error('no JSON')],
  ])('shows a host that answers %s with a text for programs in words for people', async (code, cause) => {
    const world = await placed()
    world.host.fault = new AgentError(code, '✖ Invalid input: expected number\n  → at decision.epoch', { cause })
    await world.settle()
    expect(world.condition('Ready')?.message).toMatch(/^Host host-a [a-z ]+: install the same version of agent and/)
  })

  test('takes over a disk that an earlier decision of its own holds', async () => {
    const world = await placed()
    const { machineId = '', decision: before } = world.stored?.status ?? {}
    const claim = { machineId, decision: { id: uuid(5), epoch: 41 } }
    const { agent } = world.host
    const putMachine = agent.putMachine.bind(agent)
    agent.putMachine = async (order, waitMs) => {
      if (order.decision.follows.includes(claim.decision.id)) return putMachine(order, waitMs)
      throw new AgentError('DISK_CLAIMED', 'claimed', { details: claim })
    }
    await world.reconcile()
    expect(world.stored?.status?.decision).toMatchObject({ epoch: 42, follows: [uuid(5), before?.id] })
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
  })

  test('is blocked with what to do when the Host it is on is deleted, and nothing is concluded from that', async () => {
    const world = await placed()
    await world.reconcile()
    world.hosts.pop()
    world.restart()
    await world.settle()
    expect(world.condition('Ready')).toMatchObject({
      status: 'False',
      reason: 'HostNotFound',
      message: 'There is no Host host-a, where the machine is: create it again',
    })
    expect(world.stored?.status).toMatchObject({ host: 'host-a', printableStatus: 'Unknown' })

    world.hosts.push(world.host)
    world.restart()
    await world.reconcile()
    expect(world.condition('Ready')).toMatchObject({ status: 'True' })
  })
})

function uuid(digit: number): string {
  return `44444444-4444-4444-8444-00000000000${digit}`
}

async function placed(): Promise<World> {
  const world = new World(machine())
  await world.reconcile()
  world.finishDisk('web-root')
  return world
}
