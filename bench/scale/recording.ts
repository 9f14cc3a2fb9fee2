import { randomBytes } from 'node:crypto'
import { connectAgent } from '../../agent/client.ts'
import type { DesiredDisk, DesiredMachine, HostAgent } from '../../agent/contract.ts'
import { runPlatform } from '../../controllers/platform.ts'
import { systemClock } from '../../lib/clock.ts'
import type { Call, Kube } from '../../lib/kube/client.ts'
import { silentLog } from '../../lib/log.ts'
import type { AgentTls } from './hosts.ts'

/** One thing that the controllers did for a machine. */
export type Step =
  | { readonly to: 'api'; readonly call: Call }
  | { readonly to: 'agent'; readonly host: string; readonly order: Order }
export type Order =
  | { readonly put: 'disk'; readonly body: DesiredDisk; readonly waitMs: number | undefined }
  | { readonly put: 'machine'; readonly body: DesiredMachine; readonly waitMs: number | undefined }

/** Runs the controllers in this process, while `work` is done, and returns what they did, in its order. */
export async function record(kube: Kube, tls: AgentTls, work: () => Promise<void>): Promise<Step[]> {
  const steps: Step[] = []
  const stop = new AbortController()
  const recorded: Pick<Kube, 'send' | 'stream'> = {
    send(call) {
      const { signal: _, ...content } = call
      if (call.method !== 'GET' && !call.path.includes('/leases')) steps.push({ to: 'api', call: content })
      return kube.send(call)
    },
    stream: (call, signal) => kube.stream(call, signal),
  }
  const running = runPlatform(
    {
      kube: recorded,
      connect: (host, address, caller) => {
        const agent = connectAgent({ ...address, ...caller, hostName: host, tls })
        return recording(agent, (order) => steps.push({ to: 'agent', host, order }))
      },
      clock: systemClock,
      log: silentLog,
      instance: `bench-${randomBytes(4).toString('hex')}`,
      hasEnded: () => Promise.resolve(false),
    },
    stop.signal,
  )
  try {
    await Promise.race([work(), running])
  } finally {
    stop.abort()
    await running
  }
  return steps
}

function recording(agent: HostAgent & AsyncDisposable, note: (order: Order) => void): HostAgent & AsyncDisposable {
  return {
    ...agent,
    putDisk(body, waitMs) {
      note({ put: 'disk', body, waitMs })
      return agent.putDisk(body, waitMs)
    },
    putMachine(body, waitMs) {
      note({ put: 'machine', body, waitMs })
      return agent.putMachine(body, waitMs)
    },
    [Symbol.asyncDispose]: () => agent[Symbol.asyncDispose](),
  }
}
