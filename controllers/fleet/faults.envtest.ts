import { randomInt, randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { connectAgent } from '../../agent/client.ts'
import type { DesiredMachine, HostAgent, ObservedMachine } from '../../agent/contract.ts'
import { systemClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { FaultProxy } from '../../lib/testing/fault-proxy.ts'
import { faults, play } from '../../lib/testing/faults.ts'
import { newAuthority, type Authority } from '../../lib/tls/authority.ts'
import { newFleet } from './fleet.ts'

const MAIN = new URL('../../agent/simulated/main.ts', import.meta.url)
const MACHINES = 6
const FAULT_MS = 1_500
const CHANGE_EVERY_MS = 50
/** A stream that says nothing is given up after 15 s, and a call without an answer after 10 s. */
const EQUAL_MS = 20_000

let stack: AsyncDisposableStack
let authority: Authority
/** By the index of a fault: each has a host of its own. */
let ports: number[]

beforeAll(async () => {
  stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'hf-fleet-'))
  stack.defer(() => rm(folder, { recursive: true }))
  authority = await newAuthority('agents')
  ports = await freePorts(faults.length)
  const server = await authority.issue({
    commonName: 'hosts',
    dnsNames: faults.map((_, index) => nameOf(index)),
    usages: ['Server'],
  })
  const files = { 'tls.crt': server.certificate, 'tls.key': server.key, 'ca.crt': authority.certificate }
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, { mode: 0o600 })
  const hosts = new Worker(MAIN, {
    env: {
      HOLDFAST_SIMULATED_HOSTS: ports.map((port, index) => `${nameOf(index)}=${port}`).join(','),
      HOLDFAST_SIMULATED_START_MS: '20',
      HOLDFAST_SIMULATED_STATE_DIR: join(folder, 'state'),
      HOLDFAST_AGENT_TLS_CERT: join(folder, 'tls.crt'),
      HOLDFAST_AGENT_TLS_KEY: join(folder, 'tls.key'),
      HOLDFAST_AGENT_CLIENT_CA: join(folder, 'ca.crt'),
      HOLDFAST_AGENT_CLIENT_NAMES: 'holdfast-controllers',
    },
    stdout: true,
  })
  stack.defer(async () => void (await hosts.terminate()))
})
afterAll(() => stack.disposeAsync())

describe('A host whose network is bad', () => {
  test.concurrent.for(faults.map((fault, index) => ({ ...fault, index })))(
    'is known again as it is, after: $name',
    { timeout: 120_000 },
    async ({ index, ...fault }, { expect }) => {
      await using own = new AsyncDisposableStack()
      const name = nameOf(index)
      const client = await authority.issue({ commonName: 'holdfast-controllers', usages: ['Client'] })
      const tls = { ca: authority.certificate, ...client }
      const near = own.use(
        connectAgent({ address: '127.0.0.1', port: ports[index] ?? 0, hostName: name, tls, term: () => 1 }),
      )
      const proxy = own.use(await newProxy(name, ports[index] ?? 0, client))
      const fleet = own.use(
        newFleet({
          connect: (host, at) => connectAgent({ ...at, hostName: host, tls, term: () => 1 }),
          onEvent: () => undefined,
          clock: systemClock,
          log: silentLog,
        }),
      )
      fleet.put(name, { address: '127.0.0.1', port: proxy.port })
      const isKnown = async () => {
        const host = fleet.get(name)
        const known = byId(host?.machines.all() ?? [])
        return host?.state === 'Connected' && isDeepStrictEqual(known, byId(await near.machines()))
      }
      const crowd = await Crowd.start(near)
      await expect.poll(isKnown, { timeout: EQUAL_MS }).toBe(true)

      const over = new AbortController()
      const changing = crowd.change(over.signal)
      await play(fault, proxy, FAULT_MS)
      over.abort()
      await changing
      await expect.poll(isKnown, { timeout: EQUAL_MS, interval: 50 }).toBe(true)
    },
  )
})

function nameOf(index: number): string {
  return `host-${index}`
}

async function newProxy(serverName: string, port: number, client: { certificate: string; key: string }) {
  const server = await authority.issue({ commonName: serverName, dnsNames: [serverName], usages: ['Server'] })
  return FaultProxy.start({ port, serverName, ca: authority.certificate, server, client })
}

/** Below those that the kernel hands out for outgoing connections, and that platforms choose. */
async function freePorts(count: number): Promise<number[]> {
  const held: Server[] = []
  const found: number[] = []
  while (found.length < count) {
    const port = randomInt(10_000, 20_000)
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!isFree) continue
    held.push(server)
    found.push(port)
  }
  for (const server of held) server.close()
  return found
}

function byId(machines: Iterable<ObservedMachine>): ObservedMachine[] {
  return [...machines].filter(({ state }) => state !== 'Absent').toSorted((a, b) => a.id.localeCompare(b.id))
}

/** Machines of a host that are started, stopped and removed past the bad network. */
class Crowd {
  readonly #agent: HostAgent
  readonly #machines: DesiredMachine[]
  #turn = 0

  private constructor(agent: HostAgent, machines: DesiredMachine[]) {
    this.#agent = agent
    this.#machines = machines
  }

  static async start(agent: HostAgent): Promise<Crowd> {
    const machines = Array.from({ length: MACHINES }, newMachine)
    // The hosts may still be starting.
    for (let tries = 0; tries < 100 && !(await isUp(agent)); tries++) await sleep(100)
    for (const machine of machines) await agent.putMachine(machine, 1_000)
    return new Crowd(agent, machines)
  }

  async change(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const index = this.#turn++ % MACHINES
      const machine = this.#machines[index]
      if (machine) this.#machines[index] = await this.#next(machine)
      await sleep(CHANGE_EVERY_MS)
    }
  }

  async #next(machine: DesiredMachine): Promise<DesiredMachine> {
    if (machine.power === 'Absent') {
      const anew = newMachine()
      await this.#agent.putMachine(anew, 0)
      return anew
    }
    const { decision } = machine
    const follows = [decision.id, ...decision.follows].slice(0, 8)
    const power = machine.power === 'Running' ? 'Stopped' : this.#turn % 4 === 0 ? 'Absent' : 'Running'
    const next = { ...machine, power, decision: { id: randomUUID(), epoch: decision.epoch + 1, follows } } as const
    await this.#agent.putMachine(next, 0)
    return next
  }
}

async function isUp(agent: HostAgent): Promise<boolean> {
  return agent.host().then(
    () => true,
    () => false,
  )
}

function newMachine(): DesiredMachine {
  return {
    id: randomUUID(),
    name: 'default/test',
    decision: { id: randomUUID(), epoch: 1, follows: [] },
    power: 'Running',
    cpus: 1,
    memoryBytes: 2 ** 27,
    machineType: 'q35',
    macs: [],
    disks: [],
    restart: 'Always',
    gracePeriodSeconds: 0,
  }
}
