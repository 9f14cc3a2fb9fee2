import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connectAgent } from '../../agent/client.ts'
import type { ObservedMachine } from '../../agent/contract.ts'

const LIMIT_MS = 120_000

/** What the agent of this machine says of its guests, at once. */
export interface Runs extends AsyncDisposable {
  /** Resolves when a machine of this name (`namespace/name`) runs. */
  untilRunning(name: string): Promise<ObservedMachine>
}

/** Listens to the agent of a local platform. */
export async function agentOf(home: string): Promise<Runs> {
  const pki = (name: string) => readFile(join(home, 'pki', 'agents', name), 'utf8')
  const tls = {
    ca: await pki('ca.crt'),
    certificate: await pki('holdfast-local.crt'),
    key: await pki('holdfast-local.key'),
  }
  const port = Number(await readFile(join(home, 'agent-port'), 'utf8'))
  const agent = connectAgent({ address: '127.0.0.1', port, hostName: 'host-1', tls })
  const abort = new AbortController()
  const machines = new Map<string, ObservedMachine>()
  const waiting = new Map<string, (machine: ObservedMachine) => void>()
  const listen = async () => {
    for await (const event of agent.events(abort.signal)) {
      if (event.type !== 'Machine') continue
      const { machine } = event
      machines.set(machine.name, machine)
      if (machine.state === 'Running') waiting.get(machine.name)?.(machine)
    }
  }
  const listening = listen()
  return {
    async untilRunning(name) {
      const known = machines.get(name)
      if (known?.state === 'Running') return known
      const { promise, resolve, reject } = Promise.withResolvers<ObservedMachine>()
      waiting.set(name, resolve)
      const limit = setTimeout(() => reject(new Error(`${name} does not run within ${LIMIT_MS / 1000} s`)), LIMIT_MS)
      return promise.finally(() => clearTimeout(limit))
    },
    async [Symbol.asyncDispose]() {
      abort.abort()
      await listening
      await agent[Symbol.asyncDispose]()
    },
  }
}
