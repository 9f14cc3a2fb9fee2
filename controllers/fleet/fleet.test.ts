import { describe, expect, test } from 'vitest'
import { AgentError } from '../../agent/errors.ts'
import type { ObservedMachine } from '../../agent/contract.ts'
import { silentLog } from '../../lib/log.ts'
import { FakeClock, settle } from '../../lib/queue/testing.ts'
import type { FleetEvent } from './fleet-host.ts'
import { newFleet, type Fleet } from './fleet.ts'
import { ScriptedAgent } from './scripted-agent.ts'
import { observedHost } from './testing.ts'

const ID = '11111111-1111-4111-8111-111111111111'

class World implements AsyncDisposable {
  readonly clock = new FakeClock()
  readonly events: FleetEvent[] = []
  /** By address. */
  readonly agents = new Map<string, ScriptedAgent>()
  readonly fleet: Fleet = newFleet({
    connect: (name, { address, port }) => this.agent(name, `${address}:${port}`).agent,
    onEvent: (event) => void this.events.push(event),
    clock: this.clock,
    log: silentLog,
  })

  agent(name: string, at: string): ScriptedAgent {
    const agent = this.agents.get(at) ?? new ScriptedAgent(name)
    this.agents.set(at, agent)
    return agent
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.fleet[Symbol.asyncDispose]()
  }
}

const at = (port: number) => ({ address: '10.0.0.1', port })

describe('Fleet', () => {
  test('is connected once the agent has told of every machine', async () => {
    await using world = new World()
    world.fleet.put('a', at(1))
    const agent = world.agent('a', '10.0.0.1:1')
    await settle()
    expect(world.fleet.get('a')).toMatchObject({ state: 'Connecting', session: 0 })
    agent.send({ type: 'Machine', machine: observed() })
    await settle()
    expect(world.fleet.get('a')?.machines.get(ID)).toBeUndefined()
    agent.send({ type: 'Synced' })
    await settle()
    expect(world.fleet.get('a')).toMatchObject({ state: 'Connected', session: 1, observed: observedHost('a') })
    expect(world.fleet.get('a')?.machines.get(ID)).toMatchObject({ state: 'Running' })
    expect(world.events).toEqual([{ type: 'Host', host: 'a' }])
  })

  test('passes on what happens afterwards, but no heartbeat', async () => {
    await using world = new World()
    const agent = await connected(world)
    const machine = observed({ state: 'Stopped', revision: 2 })
    const disk = { id: ID, storage: 'local', state: 'Ready', sizeBytes: 1 } as const
    agent.send({ type: 'Beat' }, { type: 'Machine', machine }, { type: 'Disk', disk }, { type: 'Image', path: 'x' })
    await settle()
    expect(world.events.slice(1)).toEqual([
      { type: 'Machine', host: 'a', machine },
      { type: 'Disk', disk },
      { type: 'Image', path: 'x' },
    ])
    expect(world.fleet.get('a')?.machines.get(ID)).toEqual(machine)
  })

  test.each<[string, (agent: ScriptedAgent) => void]>([
    ['ends', (agent) => agent.cut()],
    ['breaks', (agent) => agent.unplug()],
    ['brings nonsense', (agent) => agent.cut(new Error('no JSON'))],
  ])('knows its machines while the connection %s, and begins a new session', async (_name, spoil) => {
    await using world = new World()
    const agent = await connected(world, observed())
    spoil(agent)
    await settle()
    expect(world.fleet.get('a')).toMatchObject({ state: 'Unreachable', session: 1, observed: { name: 'a' } })
    expect(world.fleet.get('a')?.machines.get(ID)).toBeDefined()
    expect(world.events).toHaveLength(2)

    agent.fault = undefined
    await world.clock.advance(60_000)
    agent.send({ type: 'Synced' })
    await settle()
    expect(world.fleet.get('a')).toMatchObject({ state: 'Connected', session: 2 })
    expect(world.fleet.get('a')?.machines.get(ID)).toBeUndefined()
  })

  test('tries again with growing waits, tells of it once, and soon after a connection that worked', async () => {
    await using world = new World()
    const agent = world.agent('a', '10.0.0.1:1')
    agent.unplug()
    world.fleet.put('a', at(1))
    const waits: number[] = []
    for (let round = 0; round < 12; round++) {
      await settle()
      const wait = world.clock.nextMs ?? 0
      waits.push(wait)
      await world.clock.advance(wait)
    }
    for (const [round, wait] of waits.entries()) {
      const base = Math.min(200 * 2 ** round, 3_000)
      expect(wait).toBeGreaterThanOrEqual(base * 0.5)
      expect(wait).toBeLessThanOrEqual(base * 1.5)
    }
    expect(agent.tries).toBe(13)
    expect(world.events).toEqual([{ type: 'Host', host: 'a' }])

    agent.fault = undefined
    await world.clock.advance(15_000)
    agent.send({ type: 'Synced' })
    await settle()
    agent.cut()
    await settle()
    expect(world.clock.nextMs).toBeLessThanOrEqual(300)
  })

  test.each([
    [{ name: 'b' }, 'NotThisHost', /is of host b: correct spec.address/],
    [{ contractVersions: [2, 3] }, 'ContractTooOld', /install the version of the controllers/],
    [{ contractVersions: [] }, 'ContractTooOld', /install the version of the controllers/],
  ])('refuses an agent with %j, asks it for no events, and looks again', async (changes, reason, message) => {
    await using world = new World()
    const agent = world.agent('a', '10.0.0.1:1')
    agent.observed = { ...observedHost('a'), ...changes }
    world.fleet.put('a', at(1))
    await world.clock.advance(60_000)
    expect(world.fleet.get('a')).toMatchObject({
      state: 'Refused',
      refusal: { reason, message: expect.stringMatching(message) },
    })
    expect([agent.open, world.events.length]).toEqual([0, 1])

    agent.observed = observedHost('a')
    await world.clock.advance(20_000)
    agent.send({ type: 'Synced' })
    await settle()
    expect(world.fleet.get('a')).toMatchObject({ state: 'Connected' })
  })

  test('takes an agent that speaks several versions', async () => {
    await using world = new World()
    world.agent('a', '10.0.0.1:1').observed = { ...observedHost('a'), contractVersions: [0, 1, 2] }
    await connected(world)
    expect(world.fleet.get('a')).toMatchObject({ state: 'Connected' })
  })

  test('moves to a new address in a session of its own, and lets go of the old one', async () => {
    await using world = new World()
    const old = await connected(world, observed())
    world.fleet.put('a', at(2))
    const agent = world.agent('a', '10.0.0.1:2')
    await settle()
    expect(world.fleet.get('a')).toMatchObject({ state: 'Connecting' })
    agent.send({ type: 'Synced' })
    await settle()
    expect(world.fleet.get('a')).toMatchObject({ state: 'Connected', session: 2 })
    expect([old.open, old.isDisposed]).toEqual([0, true])
    old.send({ type: 'Machine', machine: observed() })
    await settle()
    expect(world.fleet.get('a')?.machines.get(ID)).toBeUndefined()
  })

  test('keeps its connection when it is told the same address again', async () => {
    await using world = new World()
    const agent = await connected(world)
    world.fleet.put('a', at(1))
    await settle()
    expect([agent.tries, world.fleet.get('a')?.state]).toEqual([1, 'Connected'])
  })

  test('lets go of a host that is removed, without a word more about it', async () => {
    await using world = new World()
    const agent = await connected(world)
    const { length } = world.events
    world.fleet.remove('a')
    expect(world.fleet.get('a')).toBeUndefined()
    await settle()
    await world.clock.advance(60_000)
    expect([agent.open, agent.isDisposed, agent.tries, world.events.length]).toEqual([0, true, 1, length])
    expect(world.fleet.all()).toEqual([])
  })

  test('tells what a beat says of the state of the agent, once, and when it is well again', async () => {
    const world = new World()
    const agent = await connected(world)
    const { length } = world.events
    const stateProblem = { code: 'StateFull', message: 'free some space' } as const
    agent.send({ type: 'Beat', stateProblem }, { type: 'Beat', stateProblem })
    await settle()
    expect(world.fleet.get('a')?.observed?.stateProblem).toEqual(stateProblem)
    expect(world.events.slice(length)).toEqual([{ type: 'Host', host: 'a' }])
    agent.send({ type: 'Beat' })
    await settle()
    expect(world.fleet.get('a')?.observed).not.toHaveProperty('stateProblem')
  })

  test.each([
    ['CERT_HAS_EXPIRED', 'CertificateNotValid'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'NotThisHost'],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'NotThisHost'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'NotThisHost'],
    ['ERR_INVALID_URL', 'AddressUnusable'],
    ['ECONNREFUSED', undefined],
  ])('knows why a host is not reached, by %s, until it is', async (code, obstacle) => {
    const world = new World()
    const agent = await connected(world)
    const cause = Object.assign(new Error('no answer'), { code })
    agent.fault = new AgentError('UNREACHABLE', 'no answer', { cause })
    agent.cut(agent.fault)
    await settle()
    expect(world.fleet.get('a')).toMatchObject({ state: 'Unreachable', obstacle })
    agent.fault = undefined
    await world.clock.advance(60_000)
    agent.send({ type: 'Synced' })
    await settle()
    expect(world.fleet.get('a')).toMatchObject({ state: 'Connected', obstacle: undefined })
  })

  test('ends with every connection that it had', async () => {
    const world = new World()
    world.fleet.put('b', at(2))
    const agent = await connected(world)
    await world.fleet[Symbol.asyncDispose]()
    expect([agent.open, agent.isDisposed, world.agent('b', '10.0.0.1:2').isDisposed]).toEqual([0, true, true])
    expect(world.clock.sleeping).toBe(0)
  })
})

async function connected(world: World, ...machines: ObservedMachine[]): Promise<ScriptedAgent> {
  world.fleet.put('a', at(1))
  const agent = world.agent('a', '10.0.0.1:1')
  await settle()
  agent.send(...machines.map((machine) => ({ type: 'Machine', machine }) as const), { type: 'Synced' })
  await settle()
  return agent
}

function observed(changes: Partial<ObservedMachine> = {}): ObservedMachine {
  return {
    id: ID,
    name: 'shop/web',
    decision: { id: ID, epoch: 1 },
    power: 'Running',
    state: 'Running',
    pendingRestart: [],
    restarts: 0,
    revision: 1,
    ...changes,
  }
}
