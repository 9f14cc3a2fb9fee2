import { isDeepStrictEqual } from 'node:util'
import type { HostAgent } from '../../agent/contract.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { keepConnected } from './connection.ts'
import type { FleetEvent, FleetHost } from './fleet-host.ts'
import { newMachineView } from './machine-view.ts'

export interface Address {
  readonly address: string
  readonly port: number
}

export interface Fleet extends AsyncDisposable {
  get(name: string): FleetHost | undefined
  all(): FleetHost[]
  /** Starts to keep a connection, or moves it to a new address. */
  put(name: string, address: Address): void
  remove(name: string): void
}

export interface FleetDeps {
  readonly connect: (name: string, address: Address) => HostAgent & AsyncDisposable
  readonly onEvent: (event: FleetEvent) => void
  readonly clock: Clock
  readonly log: Log
}

interface Member {
  readonly address: Address
  readonly abort: AbortController
  readonly connection: Promise<void>
  host: FleetHost
}

/** Keeps one live connection to the agent of every host, and remembers what each of them said last. */
export function newFleet({ connect, onEvent, clock, log }: FleetDeps): Fleet {
  const members = new Map<string, Member>()
  let sessions = 0 // Of all hosts, so that none comes twice when a host moves to another address.
  const newSession = () => ++sessions

  const start = (name: string, address: Address): Member => {
    const agent = connect(name, address)
    const abort = new AbortController()
    const machines = newMachineView()
    const update = (change: Partial<FleetHost>) => {
      const host = { ...member.host, ...change }
      if (isDeepStrictEqual(host, member.host)) return // Another try to reach it has failed: nobody need look.
      member.host = host
      onEvent({ type: 'Host', host: name })
    }
    const follow = async () => {
      await using connected = agent // Its sockets end with the loop.
      const { signal } = abort
      await keepConnected(name, { agent: connected, machines, update, newSession, onEvent, clock, log, signal })
    }
    const host: FleetHost = { name, agent, state: 'Connecting', session: 0, machines }
    const member: Member = { address, abort, connection: follow(), host }
    return member
  }

  const stop = async (name: string) => {
    const member = members.get(name)
    members.delete(name)
    member?.abort.abort()
    await member?.connection
  }

  return {
    get: (name) => members.get(name)?.host,
    all: () => [...members.values()].map(({ host }) => host),
    put(name, address) {
      const before = members.get(name)
      if (before?.address.address === address.address && before.address.port === address.port) return
      if (before)
        stop(name).catch((error: unknown) => log.error({ err: error, host: name }, 'connection did not end well'))
      members.set(name, start(name, address))
    },
    remove(name) {
      stop(name).catch((error: unknown) => log.error({ err: error, host: name }, 'connection did not end well'))
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...members.keys()].map(stop))
    },
  }
}
