import { setTimeout as sleep } from 'node:timers/promises'
import { faults as proxyFaults, play } from '../../../lib/testing/faults.ts'
import { eventually, qemus } from '../platform.ts'
import type { Cast } from './cast.ts'

/** Something that goes wrong, and is right again when it returns. */
export interface Fault {
  readonly name: string
  /** `where`, from 0 to 1, chooses one of several that it can hit. */
  readonly play: (cast: Cast, where: number) => Promise<void>
}

const AWHILE_MS = 6_000
/** Longer than a lease. */
const LONG_MS = 18_000

/** What goes wrong between the controllers and a server, while whoever is at the proxy's other end is well. */
function between(at: 'api' | 'host', server: string): Fault[] {
  return proxyFaults.map((fault) => ({
    name: `${server}: ${fault.name}`,
    // Also for longer than a call, or the silence of a stream, is waited for.
    play: ({ test }, where) => play(fault, test[at], AWHILE_MS + where * LONG_MS),
  }))
}

function frozen(who: 'mortal' | 'lasting'): Fault['play'] {
  return async (cast) => {
    cast[who].signal('SIGSTOP')
    await sleep(LONG_MS)
    cast[who].signal('SIGCONT')
  }
}

const processFaults: readonly Fault[] = [
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
    async play({ test }, where) {
      const running = await qemus(test.platform)
      const victim = running[Math.floor(where * running.length)]
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
]

const networkFaults = [...between('api', 'the API server'), ...between('host', 'a host')]

/** One of a process or of a network, as likely as the other. */
export function pickFault(random: () => number): Fault | undefined {
  const faults = random() < 0.5 ? processFaults : networkFaults
  return faults[Math.floor(random() * faults.length)]
}

/** Waits until the servers that a fault killed answer again. */
export async function untilBack({ test }: Cast): Promise<void> {
  await eventually(async () => {
    const { code } = await test.platform.kubectl('get', '--raw', '/readyz', '--request-timeout=5s')
    return code === 0
  })
}
