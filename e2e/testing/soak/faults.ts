import { setTimeout as sleep } from 'node:timers/promises'
import type { FaultProxy, Verdict } from '../../../lib/testing/fault-proxy.ts'
import { eventually, qemus } from '../platform.ts'
import type { Cast } from './cast.ts'

/** Something that goes wrong, and is right again when it returns. */
export interface Fault {
  readonly name: string
  readonly play: (cast: Cast, random: () => number) => Promise<void>
}

const AWHILE_MS = 6_000
/** Longer than a lease. */
const LONG_MS = 18_000

/** For a while, every request to a server goes this way. */
function during(at: 'api' | 'host', verdict: Verdict): Fault['play'] {
  return async ({ test }) => {
    const proxy: FaultProxy = test[at]
    proxy.judge = () => verdict
    await sleep(AWHILE_MS)
    proxy.reset()
  }
}

function answers(status: number, headers?: Record<string, string>): Verdict {
  const body = { kind: 'Status', apiVersion: 'v1', status: 'Failure', code: status, message: 'a fault that is played' }
  return { type: 'answer', status, body, ...(headers && { headers }) }
}

function frozen(who: 'mortal' | 'lasting'): Fault['play'] {
  return async (cast) => {
    cast[who].signal('SIGSTOP')
    await sleep(LONG_MS)
    cast[who].signal('SIGCONT')
  }
}

export const faults: readonly Fault[] = [
  {
    name: 'kill -9 of the controllers',
    async play({ mortal }) {
      await mortal.kill()
      await sleep(1_000)
      await mortal.start()
    },
  },
  { name: 'one process of the controllers is frozen for longer than its lease', play: frozen('mortal') },
  { name: 'the other process of the controllers is frozen', play: frozen('lasting') },
  {
    name: 'kill -9 of the agent',
    async play({ test }) {
      await test.killAgent()
      await sleep(1_000)
      await test.restartAgent()
    },
  },
  {
    name: 'kill -9 of a QEMU',
    async play({ test }, random) {
      const running = await qemus(test.platform)
      const victim = running[Math.floor(random() * running.length)]
      if (victim) process.kill(victim.pid, 'SIGKILL')
    },
  },
  {
    name: 'the simulated hosts are silent',
    async play({ simulated }) {
      simulated.signal('SIGSTOP')
      await sleep(AWHILE_MS)
      simulated.signal('SIGCONT')
    },
  },
  { name: 'kill -9 of the API server', play: async ({ test }) => test.platform.kill('kube-apiserver') },
  { name: 'kill -9 of etcd', play: async ({ test }) => test.platform.kill('etcd') },
  { name: 'every connection to the API server breaks', play: async ({ test }) => test.api.cutAll() },
  { name: 'watches fall silent', play: async ({ test }) => test.api.stallStreams() },
  { name: 'no answer from the API server', play: during('api', { type: 'stall' }) },
  { name: 'the API server answers 500', play: during('api', answers(500)) },
  { name: 'the API server answers 429', play: during('api', answers(429, { 'retry-after': '1' })) },
  { name: 'the API server is slow', play: during('api', { type: 'pass', delayMs: 800 }) },
  { name: 'writes are carried out and their answers lost', play: during('api', { type: 'cutAfter' }) },
  { name: 'no answer from a host', play: during('host', { type: 'stall' }) },
  { name: 'orders are carried out and their answers lost', play: during('host', { type: 'cutAfter' }) },
  { name: 'every connection to a host breaks', play: async ({ test }) => test.host.cutAll() },
]

/** Waits until the servers that a fault killed answer again. */
export async function untilBack({ test }: Cast): Promise<void> {
  await eventually(async () => {
    const { code } = await test.platform.kubectl('get', '--raw', '/readyz', '--request-timeout=5s')
    return code === 0
  })
}
